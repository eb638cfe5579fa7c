"""What experiments say of their runs in a sentence, where they have one of their own."""

import pytest
from planned import looks_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.plugins import discovery
from gcbarrier.results.run import Run

BILL = campaign.script_of("bill")


def test_the_bill_names_the_lowest_of_either_side_of_each_program() -> None:
    run = looks_run("bill")
    lines = BILL.verdict(run).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["gcbench", "graph_edits"]
    for line in lines:
        pages, software = line.split("; ")
        found = [one for one in BILL.billed(run, "native") if one.config.heap == line.partition(":")[0]]
        for words, mine in (
            (pages, [one for one in found if one.config.barrier in BILL.PAGES]),
            (software, [one for one in found if one.config.barrier in ("cards", "satb")]),
        ):
            least = min(mine, key=lambda one: one.together.centre)
            assert f" {BILL.who(least)} has the lowest bill, " in words
            assert "nine in ten of its stops and waits" in words, "no bill without its pauses"


@pytest.mark.parametrize("name", discovery.names("experiments"))
def test_a_verdict_is_none_of_what_was_not_measured(name: str) -> None:
    verdict = getattr(campaign.script_of(name), "verdict", None)
    empty = Run(directory=looks_run("bill").directory, manifest={"experiment": name}, outcomes=(), event_files=())
    assert verdict is None or verdict(empty) == ""
