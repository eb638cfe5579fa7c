"""A collector that takes another's place begins its cycles when the plan says."""

import pytest

from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.settings import read
from gcbarrier.model import Config, Scalar

PLANNED = Config(
    heap="graph_edits",
    barrier="uffd-wp-async",
    collector="mostly-concurrent",
    collector_params={"every_s": 0.05, "trigger": 0.3, "rounds": 3},
)


def replaced(*pairs: str) -> dict[str, Scalar]:
    (config,) = read(pairs).apply(Plan(configs=(PLANNED,), invocations=1)).configs
    return dict(config.collector_params)


@pytest.mark.parametrize("name", ["generational", "stop-the-world"])
def test_the_trigger_stays_and_nothing_else(name: str) -> None:
    assert replaced(f"collector={name}") == {"every_s": 0.05, "trigger": 0.3}


def test_what_the_new_one_does_not_have_is_left_out() -> None:
    assert replaced("collector=bdwgc") == {"every_s": 0.05}


def test_who_sets_it_gets_it() -> None:
    assert replaced("collector=generational", "generational.trigger=0.7") == {"every_s": 0.05, "trigger": 0.7}


def test_the_planned_one_keeps_all_of_its_own() -> None:
    assert replaced("collector=mostly-concurrent") == PLANNED.collector_params
