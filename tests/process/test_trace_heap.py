"""A recording that is replayed: whole pages of it and no others are written, each of them, at its pace."""

from pathlib import Path

import pytest
import recorded
from verified import MIB, found_nothing, one

from gcbarrier.model import Config

SCATTERED = [[(3, 1), (100, 1)], [(200, 2), (301, 1)], [], [(302, 1), (7, 1)]]
"""Seven pages."""


def replaying(path: Path, **changes: object) -> Config:
    params = {"recording": str(path), "pace": 0.0, "garbage_per_store": 0.0, "reference_share": 0.5}
    params |= changes.pop("heap_params", {})
    fields: dict[str, object] = {
        "heap": "trace",
        "barrier": "uffd-wp-async",
        "collector": "generational",
        "collector_params": {"every_s": 0.02, "concurrent": False},
        "heap_bytes": 16 * MIB,
        "duration_s": 0.6,
        "verify": True,
    }
    return Config(**fields | changes, heap_params=params)


@pytest.mark.parametrize(("mutators", "object_bytes"), [(1, 64), (2, 1024)])
def test_the_pages_that_were_written_are_and_no_others(tmp_path: Path, mutators: int, object_bytes: int, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    path = recorded.recording(tmp_path / "scattered.pages", SCATTERED, initial=(0, 400))
    outcome = one(replaying(path, mutators=mutators, heap_params={"object_bytes": object_bytes}))
    found_nothing(outcome)
    dirty = {pause.dirty_granules for pause in outcome.pauses if pause.kind == "minor"}
    # Armed from cycle to cycle, so many thousand stores before each: all over a page, which begins where one does.
    assert max(dirty) == 7


def test_the_writes_of_a_tick_are_spread_over_it(tmp_path: Path) -> None:
    path = recorded.recording(tmp_path / "one.pages", [[(0, 1000)]])
    slow = one(replaying(path, barrier="none", collector="never", collector_params={}, verify=False,
                         heap_params={"pace": 1e-3}))  # fmt: skip
    tick_ns = 1e3 * (recorded.EVERY_NS - 1000)
    # Up to a burst ahead of the clock, which is less than the time of one page.
    assert 1 <= slow.operations <= 1000 * slow.wall_ns / tick_ns + 2


def test_the_timetable_begins_with_the_recording_where_nothing_is_written_at_first(tmp_path: Path) -> None:
    """Not with the first page: who waits for that one is ahead of all that is due."""
    idle: list[list[tuple[int, int]]] = [[] for _ in range(300)]
    path = recorded.recording(tmp_path / "idle.pages", [*idle, [(0, 1000)]])
    heap_params = {"pace": 1.0, "anywhere": False}
    seen = one(replaying(path, barrier="none", collector="never", collector_params={}, verify=False,
                         heap_params=heap_params))  # fmt: skip
    due_ns = 300 * recorded.EVERY_NS
    assert seen.wall_ns < due_ns
    assert seen.operations <= 1
