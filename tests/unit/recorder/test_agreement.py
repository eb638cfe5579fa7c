"""Two accounts of the same pages: what they have in common, and why the rest is only in one."""

from typing import Any

import numpy as np

from gcbarrier.model import PAGE_BYTES
from gcbarrier.page_traces.coding import Runs
from gcbarrier.recorder.agreement import Agreement, Pair, compared, table

NOTHING: Runs = np.empty((0, 2), np.uint64)
EVERYWHERE: Runs = np.array([(0, 1 << 40)], np.uint64)


def runs(*spans: tuple[int, int]) -> Runs:
    """Of pages."""
    return np.array([(first * PAGE_BYTES, end * PAGE_BYTES) for first, end in spans], np.uint64).reshape(-1, 2)


def test_the_same_pages_in_other_runs_are_the_same() -> None:
    found = compared(runs((1, 5), (9, 10)), runs((1, 3), (3, 5), (9, 10)), marked=NOTHING, watched=EVERYWHERE)
    assert found == Agreement(ticks=1, both=5)


def test_each_page_that_one_account_lacks_has_one_reason() -> None:
    found = compared(
        runs((0, 2), (20, 21)),
        # 1 is in both; of the others 4 and 5 are in a marked mapping, 10 in one that is marked and not watched, 30 to
        # 33 in a huge page of which 30 is in a marked mapping, and 40 has no reason.
        runs((1, 2), (4, 6), (10, 11), (30, 34), (40, 41)),
        marked=runs((3, 6), (10, 12), (29, 31)),
        watched=runs((0, 8), (16, 64)),
        huge=runs((30, 34)),
    )
    assert found == Agreement(ticks=1, both=1, marked=3, unwatched=1, huge=3, false=1, missed=2)


def test_nothing_is_within_no_mapping() -> None:
    assert compared(NOTHING, runs((1, 3)), marked=NOTHING, watched=NOTHING).unwatched == 2
    assert compared(NOTHING, NOTHING, marked=NOTHING, watched=NOTHING) == Agreement(ticks=1)


def test_a_mapping_ends_before_its_end() -> None:
    found = compared(NOTHING, runs((4, 7)), marked=runs((5, 6)), watched=EVERYWHERE)
    assert (found.marked, found.false) == (1, 2)


def test_ticks_add_up() -> None:
    one = Agreement(ticks=1, both=2, marked=3, unwatched=4, huge=5, false=6, missed=7)
    assert one + one == Agreement(ticks=2, both=4, marked=6, unwatched=8, huge=10, false=12, missed=14)


def test_a_table_has_each_kind_with_its_share() -> None:
    lines = list(table(Agreement(ticks=1, both=900, marked=75, unwatched=0, huge=0, false=0, missed=25)))
    assert len(lines) == 6
    assert [line.split()[-2:] for line in lines] == [
        ["900", "90.0%"],
        ["75", "7.5%"],
        ["0", "0.0%"],
        ["0", "0.0%"],
        ["0", "0.0%"],
        ["25", "2.5%"],
    ]
    assert "lost by soft-dirty" in lines[-1]
    assert next(iter(table(Agreement()))).split()[-1] == "0.0%", "and of nothing there are no shares"


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def begin(self, **what: Any) -> int:
        self.told.append(("begin", what))
        return 7

    def tick(self, number: int, **what: Any) -> None:
        self.told.append((f"tick {number}", what))

    def end(self, number: int, **what: Any) -> None:
        self.told.append((f"end {number}", what))


def test_each_recording_gets_what_its_tracker_said() -> None:
    exact, other = Told(), Told()
    pair = Pair(exact, other)
    pair.soft_dirty = runs((1, 9))
    assert pair.begin(pid=3, initial=runs((1, 2))) == 7
    pair.soft_dirty = runs((4, 5))
    pair.tick(7, collect_ns=5, runs=runs((4, 6)))
    pair.end(7, ended="exit 0")
    pages = {"initial": ([(1, 2)], [(1, 9)]), "runs": ([(4, 6)], [(4, 5)])}
    for index, sink in enumerate((exact, other)):
        (began, beginning), (ticked, tick), ended = sink.told
        assert (began, beginning["pid"], ticked, tick["collect_ns"]) == ("begin", 3, "tick 7", 5)
        assert (beginning["initial"] // PAGE_BYTES).tolist() == [list(each) for each in pages["initial"][index]]
        assert (tick["runs"] // PAGE_BYTES).tolist() == [list(each) for each in pages["runs"][index]]
        assert ended == ("end 7", {"ended": "exit 0"})
