"""What is advised, and what is said where nothing can be."""

from functools import cache

import numpy as np
import pytest
from constants import about, barrier, machine, recorded, usual

from gcbarrier.costs.advice import Advice, advise
from gcbarrier.costs.constants import Constants
from gcbarrier.costs.sentences import said_count, said_ns, said_share, sentences
from gcbarrier.costs.traces import Program, program

MS, S = 1e6, 1e9


@cache
def hot(ticks: int = 400) -> Program:
    """Three hundred pages at random of a thousand in each tick of 10 ms."""
    luck = np.random.default_rng(2)
    return program(recorded([luck.integers(0, 1000, 300) for _ in range(ticks)], walls=(100, 110)))


def advised(seen: Program, constants: Constants, *periods: float, **asked: float) -> Advice:
    """Of these lengths; 100 ms if none are given."""
    return advise(seen, constants, periods or (100 * MS,), **asked)  # type: ignore[arg-type]


def said(advice: Advice) -> str:
    """All of it."""
    return "\n".join(sentences(advice))


def test_of_two_that_differ_in_one_thing_the_cheaper_is_ahead_and_alone_in_front() -> None:
    cost = {"arm_page": 10.0, "collect": (1000.0, 1.0, 40.0)}
    # A program that loses more time writes less meanwhile, for which a remark is shorter.
    dear = {"arm_page": 10.0, "collect": (2000.0, 1.0, 40.0)}
    constants = machine(barrier("dear", first_store=3000, **dear), barrier("cheap", first_store=1000, **cost))
    length = advised(hot(), constants).lengths[0]
    assert length.lowest_bill is not None
    assert (length.lowest_bill.barrier, length.lowest_bill.told) == ("cheap", True)
    assert [offer.barrier for offer in length.offers if offer.in_front] == ["cheap"]


def test_a_shorter_remark_that_costs_more_is_in_front_too_and_said_with_its_price() -> None:
    constants = machine(
        barrier("short", first_store=2000, collect=(1000.0, 1.0, 40.0), last=(10.0, 0.0, 5.0)),
        barrier("cheap", first_store=1000, collect=(1000.0, 1.0, 40.0)),
    )
    advice = advised(hot(), constants)
    assert {offer.barrier for offer in advice.lengths[0].offers if offer.in_front} == {"short", "cheap"}
    assert "cheap has the lowest bill" in said(advice)
    assert "a shorter remark than its" in said(advice)
    assert "short has the shortest remark" in said(advice)


def test_constants_that_are_too_uncertain_are_blamed() -> None:
    cost = {"collect": (1000.0, 1.0, 40.0), "spread": 0.3}
    constants = machine(barrier("one", first_store=1000, **cost), barrier("other", first_store=1050, **cost))
    best = advised(hot(), constants).lengths[0].lowest_bill
    assert best is not None
    assert (best.told, best.short) == (False, False)
    assert "these constants can't tell it from" in said(advised(hot(), constants))


def test_a_recording_that_is_too_short_is_blamed() -> None:
    """One is cheaper where few pages are written, the other where many are, and the program does now this, now that."""
    luck = np.random.default_rng(3)
    seen = program(recorded([luck.integers(0, 2000, 20 if tick // 40 % 2 else 2000) for tick in range(200)]))

    def constants(arm_page: float) -> Constants:
        return machine(barrier("few", first_store=1000), barrier("many", first_store=300, arm_page=arm_page))

    faults = advised(seen, constants(0.0), 400 * MS).lengths[0].offers[0].faults.centre
    advice = advised(seen, constants(700 * faults / seen.pages), 400 * MS)
    best = advice.lengths[0].lowest_bill
    assert best is not None
    assert (best.told, best.short) == (False, True)
    assert "the recording is too short to tell it from" in said(advice)


def test_a_cycle_of_which_the_recording_does_not_hold_two_is_extrapolated_and_said_to_be() -> None:
    advice = advised(hot(ticks=64), usual(), 100 * MS, 1 * S)
    assert [length.beyond for length in advice.lengths] == [False, True]
    assert said(advice).count("nothing is known for certain") == 1
    assert "record for longer" in said(advice)


def test_a_program_that_recording_slowed_is_said_to_have_been() -> None:
    assert "took 1.1 times as long" in said(advised(hot(), usual()))
    unknown = program(recorded([list(range(100))] * 64))
    assert "was not measured" in said(advised(unknown, usual()))


def test_software_barriers_are_at_least_what_is_said_until_stores_are_given() -> None:
    unknown = advised(hot(), usual())
    (cards,) = [offer for offer in unknown.lengths[0].offers if offer.software]
    assert cards.at_least
    assert not cards.in_front
    told = advised(hot(), usual(), stores_per_page=100_000.0)
    (cards_told,) = [offer for offer in told.lengths[0].offers if offer.software]
    assert not cards_told.at_least
    assert cards_told.mutators.centre > 10 * cards.mutators.centre


@pytest.mark.parametrize(("given", "place"), [(2.0, "fewer"), (1e7, "more")])
def test_the_crossing_is_said_and_on_which_side_of_it_the_stores_are(given: float, place: str) -> None:
    advice = advised(hot(), usual(), stores_per_page=given)
    (crossing,) = advice.lengths[0].crossings
    assert crossing.software == "cards"
    assert 2 < crossing.stores.low <= crossing.stores.centre <= crossing.stores.high < 1e7
    assert f"given, there are {place}" in said(advice)
    unknown = said(advised(hot(), usual()))
    assert "--stores-per-page says it" in unknown


def test_beyond_the_crossing_software_barriers_cost_more_and_before_it_less() -> None:
    (crossing,) = advised(hot(), usual(0.0)).lengths[0].crossings
    for factor, cheaper in ((0.5, "cards"), (2.0, crossing.page)):
        advice = advised(hot(), usual(0.0), stores_per_page=factor * crossing.stores.centre)
        offers = {offer.barrier: offer.bill.centre for offer in advice.lengths[0].offers}
        assert min((crossing.page, "cards"), key=lambda name: offers[name]) == cheaper


def test_what_was_not_measured_is_left_blank_and_said() -> None:
    constants = machine(barrier("one", first_store=1000), rescan_page=None, handshake=None)
    advice = advised(hot(), constants)
    assert advice.lengths[0].lowest_bill is None
    assert advice.lengths[0].offers[0].mutators.centre > 0
    assert "without rescanning a page and a stop" in said(advice)


def test_a_larger_heap_costs_more_where_all_of_it_is_scanned_and_more_mutators_take_longer_to_stop() -> None:
    small, large = (advised(hot(), usual(), heap_bytes=size).lengths[0] for size in (1 << 22, 1 << 30))
    one, many = (advised(hot(), usual(), mutators=count).lengths[0] for count in (1, 16))
    by = {each: {offer.barrier: offer for offer in each.offers} for each in (small, large, one, many)}
    assert by[large]["uffd-wp-async"].remark_ns.centre > 10 * by[small]["uffd-wp-async"].remark_ns.centre
    assert by[many]["uffd-wp-log"].remark_ns.centre > 15_000


def test_stores_that_may_cost_nothing_have_a_crossing_without_an_upper_end() -> None:
    page = barrier("page", first_store=1000)
    doubtful = machine(page, barrier("cards", store=0.1, granule_bytes=512, spread=2.0))
    (crossing,) = advised(hot(), doubtful).lengths[0].crossings
    assert crossing.stores.high == float("inf")
    assert "can't be told from plain ones for certain" in said(advised(hot(), doubtful))
    free = machine(page, barrier("cards", store=0.0, granule_bytes=512))
    assert "for no number of stores" in said(advised(hot(), free))


def test_a_program_that_waited_while_it_was_recorded_is_said_to_have() -> None:
    busy, waited = (
        program(recorded([list(range(100))] * 64, cpu_ns=np.full(64, share * 10_000_000, np.int64)))
        for share in (1.0, 0.25)
    )
    assert "used 0.25 processors" in said(advised(waited, usual()))
    assert "processors:" not in said(advised(busy, usual()))


def test_words() -> None:
    assert [said_ns(value) for value in (5.0, 1.5e3, 2e6, 1e9)] == ["5 ns", "1.5 µs", "2 ms", "1 s"]
    assert [said_share(value) for value in (0.001, 0.5, 1.234)] == ["0.1 %", "50 %", "123 %"]
    assert [said_count(value) for value in (1.84, 12345.0)] == ["1.8", "12,000"]


def test_a_cycle_that_marking_alone_does_not_fit_into_is_as_long_as_its_work() -> None:
    """A heap of 64 GiB every 10 ms: the collector is at work all the time, and no more than that."""
    advice = advised(hot(), usual(), 10 * MS, heap_bytes=64 << 30)
    (length,) = advice.lengths
    assert length.marking_ns == pytest.approx((64 << 30) / 4096 * 1500)
    assert length.busy_ns > length.marking_ns
    assert length.beyond
    assert max(offer.collector.high for offer in length.offers) <= 1
    assert "there is not time enough" in said(advice)
    assert "nothing is known for certain" in said(advice)


def test_a_tick_that_is_longer_than_a_round_leaves_the_remark_untold() -> None:
    advice = advised(hot(), usual())
    (length,) = advice.lengths
    assert length.coarse
    assert length.shortest_remark is not None
    assert not length.shortest_remark.told
    assert "record with a smaller --every" in said(advice)


def test_a_remark_that_nobody_knows_wins_nothing_and_is_at_least_what_is_said() -> None:
    """Cards of 512 bytes: with more stores than are seen more of them are dirty."""
    constants = machine(
        barrier("page", first_store=1500, collect=(2000, 1.2, 44)),
        barrier("cards", store=0.25, granule_bytes=512, collect=(30, 0.1, 8)),
    )
    unknown = advised(hot(), constants).lengths[0]
    remarks = {offer.barrier: offer.remark_ns.centre for offer in unknown.offers}
    assert remarks["cards"] < remarks["page"]
    assert unknown.shortest_remark is not None
    assert unknown.shortest_remark.barrier == "page"
    assert {offer.barrier for offer in unknown.offers if offer.granules_at_least} == {"cards"}
    told = advised(hot(), constants, stores_per_page=2.0).lengths[0]
    assert told.shortest_remark is not None
    assert told.shortest_remark.barrier == "cards"
    assert not any(offer.granules_at_least for offer in told.offers)


def test_rounds_that_may_not_shrink_are_said_and_leave_the_remark_untold() -> None:
    """Looking at a page takes as long as writing dozens of them."""
    slow = machine(barrier("slow", first_store=1000, collect=(1e3, 0.0, 1e3)), rescan_page=about(1e6))
    advice = advised(hot(), slow, 1 * S)
    (length,) = advice.lengths
    assert length.holding == ("slow",)
    assert length.shortest_remark is not None
    assert length.shortest_remark.held
    assert not length.shortest_remark.told
    assert "may not find less and less" in said(advice)
    assert advised(hot(), usual()).lengths[0].holding == ()
