"""Constants out of findings: which readings they are of, and what is said where some are missing."""

from collections.abc import Iterable

import pytest
from synthetic import make_outcome

from gcbarrier.costs.constants import Constants
from gcbarrier.costs.measured import constants
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Finding, Outcome, Probe, Reading, evolve

MIB = 1 << 20


def finding(barrier: str, index: int, size: int, **readings: float) -> Finding:
    """What a probe brought back; ``collect`` and ``collect_last`` are of a hundredth and of all pages."""
    pages = size / 4096
    made = []
    for what, value in readings.items():
        name = what.replace("_", "-")
        if name.startswith("collect") or name == "arm-again":
            made += [Reading(what=name, x=x, value=100 + pages + value * x / 100 * pages, unit="ns") for x in (1, 100)]
        else:
            made.append(Reading(what=name, value=value * (pages if name == "arm" else 1), unit="ns"))
    probe = Probe(function="any:any", barrier=barrier, heap_bytes=size)
    return Finding(probe=probe, index=index, machine="native", readings=tuple(made))


def findings() -> list[Finding]:
    """Of a page barrier, of cards and of none."""
    return [
        one
        for index in range(3)
        for size in (16 * MIB, 64 * MIB)
        for one in (
            finding("none", index, size, store=0.5, first_store=3.0),
            finding("page", index, size, store=0.6, first_store=1003.0, arm=9.0, collect=40.0, collect_last=10.0),
            finding("cards", index, size, store=0.8, first_store=8.0, arm=0.4, collect=8.0),
        )
    ]


def told(made: Iterable[Finding], outcomes: Iterable[Outcome] = ()) -> Constants:
    """Of barriers of which one is called cards."""
    return constants(
        made,
        outcomes,
        facts={},
        granules=lambda name: 512 if name == "cards" else 4096,
        software=lambda name: name == "cards",
        snapshot=lambda name: name == "snapshot",
    )


def test_costs_are_over_those_of_no_barrier() -> None:
    found = told(findings())
    page, cards = found.of("page"), found.of("cards")
    assert page.first_store.value == pytest.approx(1000)
    assert page.store.value == 0, "its stores are the same instructions as without a barrier"
    assert cards.store.value == pytest.approx(0.3)
    assert page.arm.page.value == pytest.approx(9)
    assert page.arm.dirty.value == 0, "one reading does not tell them apart"
    assert (page.collect.fixed.value, page.collect.page.value) == pytest.approx((100, 1), rel=1e-3)
    assert page.collect.dirty.value == pytest.approx(40, rel=1e-3)
    assert page.last.dirty.value == pytest.approx(10, rel=1e-3)
    assert cards.last == cards.collect, "where the last one was not measured it is like any"


def test_arming_is_a_line_where_it_was_measured_as_one() -> None:
    made = [finding("page", index, size, arm_again=7.0) for index in range(3) for size in (16 * MIB, 64 * MIB)]
    page = told([*findings(), *made]).of("page")
    assert (page.arm.page.value, page.arm.dirty.value) == pytest.approx((1, 7), rel=1e-3)


def test_what_was_not_measured_is_none_and_named() -> None:
    found = told(findings())
    assert found.rescan_page is found.mark_page is found.handshake is None
    assert len(found.lacking) == 3


def test_the_marker_and_stops_are_of_a_page_and_of_a_mutator() -> None:
    config = Config(heap="graph_edits", barrier="none", collector="stop-the-world", mutators=2)
    marker = Finding(
        probe=Probe(function="any:any", barrier="none"),
        index=0,
        machine="native",
        readings=(
            Reading(what="rescan", x=1000, value=900.0, unit="ns"),
            Reading(what="marker", x=1, value=20.0, unit="ns"),
            Reading(what="marker", x=2, value=12.0, unit="ns"),
        ),
    )
    outcome = make_outcome(config, 0)
    stopped = evolve(outcome.pauses[0], pause_ns=102_000, mark_ns=100_000, preempted=False)
    # Whoever was stopped for so long slept, and had to be woken.
    slept = evolve(stopped, pause_ns=10_080_000, mark_ns=10_000_000)
    others = evolve(outcome, pauses=(slept,), invocation=evolve(outcome.invocation, config=evolve(config, mutators=1)))
    found = told([*findings(), marker], [others, evolve(outcome, pauses=(stopped,))])
    assert found.rescan_page is not None
    assert found.rescan_page.value == 900
    assert found.mark_page is not None
    assert found.mark_page.value == 64 * 20
    assert found.handshake is not None
    assert found.handshake.value == 1000
    assert found.lacking == ()


def test_failed_findings_and_barriers_of_another_kind_are_left_out() -> None:
    broken = Finding(probe=Probe(function="any:any", barrier="broken"), index=0, machine="native", error="it broke")
    snapshot = finding("snapshot", 0, 16 * MIB, store=1.0, first_store=4.0, arm=1.0, collect=1.0)
    found = told([*findings(), broken, snapshot])
    assert [one.name for one in found.barriers] == ["cards", "page"]
    assert list(found.left_out) == ["snapshot"]
    with pytest.raises(GcBarrierError, match="no constants of the barrier 'broken'"):
        found.of("broken")


@pytest.mark.parametrize("barrier", ["none", "page"])
def test_without_a_store_to_compare_with_or_anything_to_compare_it_says_so(barrier: str) -> None:
    made = [one for one in findings() if one.probe.barrier in ({"page"} if barrier == "none" else {"none"})]
    with pytest.raises(GcBarrierError, match="no plain store" if barrier == "none" else "measured collecting"):
        told(made)
