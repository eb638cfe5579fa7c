"""``pin=``: read, kept in the configuration, and refused where it can't be."""

import pytest

from gcbarrier.campaign import settings
from gcbarrier.campaign.course import fit
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve, from_json, to_json

CONFIG = Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent", heap_bytes=1 << 20)
PLAN = Plan(configs=(CONFIG, evolve(CONFIG, barrier="none", collector="never", pin="apart")))


@pytest.mark.parametrize(("word", "pin"), [("apart", "apart"), ("none", ""), ("0/1-3", "0/1-3")])
def test_every_configuration_is_pinned_alike(word: str, pin: str) -> None:
    changed = settings.read([f"pin={word}"]).apply(PLAN)
    assert [config.pin for config in changed.configs] == [pin, pin]


def test_a_plan_may_pin_by_itself() -> None:
    assert [config.pin for config in settings.read([]).apply(PLAN).configs] == ["", "apart"]


@pytest.mark.parametrize("word", ["asunder", "0/", "/1", "0/x"])
def test_no_placement_is_refused_as_it_is_read(word: str) -> None:
    with pytest.raises(GcBarrierError):
        settings.read([f"pin={word}"])
    with pytest.raises(ValueError, match="pin"):
        evolve(CONFIG, pin=word)


def test_a_processor_that_is_not_there_is_refused_before_anything_runs() -> None:
    with pytest.raises(GcBarrierError, match="asks for processor 9999, and this process may use"):
        fit(evolve(PLAN, configs=(evolve(CONFIG, pin="0/9999"),)))


def test_a_configuration_from_before_is_pinned_nowhere() -> None:
    old = to_json(CONFIG).replace(', "pin": ""', "").replace(',"pin":""', "")
    assert "pin" not in old
    assert from_json(old, Config).pin == ""
