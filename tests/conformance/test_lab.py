"""Every check again in the lab, where there are soft-dirty and huge pages of the pool, and the table made from it."""

from collections.abc import Callable

import pytest

from conformance import job, machines, table
from conformance.baseline import PAGES
from conformance.job import Results
from conformance.known import LOSSES
from gcbarrier import barriers
from gcbarrier.model import MEMORY_TYPES

Needs = Callable[..., None]


@pytest.fixture(params=["first", "newest"])
def results(request: pytest.FixtureRequest, needs: Needs) -> Results:
    """What one kernel's guest brought back: of the first everything."""
    needs("lab")
    return machines.guest() if request.param == "first" else machines.newest(request.config.getoption("--whole"))


def test_nothing_fails(results: Results) -> None:
    assert results.failures() == {}


def test_each_barrier_and_each_memory_was_tried(results: Results) -> None:
    tried = {key for each in results.checks.values() for key in each}
    assert {barrier for barrier, _ in tried} == set(job.page_barriers())
    assert {memory for _, memory in tried} == set(MEMORY_TYPES)
    assert set(results.checks) >= set(job.checks())


def test_every_promised_memory_is_there(results: Results) -> None:
    for barrier in job.page_barriers():
        for memory in MEMORY_TYPES:
            promised = memory in barriers.promises_of(barrier).memories
            why = results.unavailable.get((barrier, memory))
            assert (why is None) == promised, (barrier, memory, why)


def test_soft_dirty_reports_what_nobody_wrote(results: Results) -> None:
    for fact in ("fresh_mapping", "merged_anonymous", "merged_shared"):
        assert results.baseline[fact] == {"soft-dirty": PAGES, "uffd": 1}, fact
    # Uffd doesn't follow a mapping that is moved: everything reads as written, and a scan that checks is refused.
    assert results.baseline["moved"] == {"soft-dirty": PAGES, "uffd": PAGES}


def test_soft_dirty_loses_what_was_written_and_uffd_does_not(results: Results) -> None:
    for fact in ("dropped_from_the_page_tables", "huge_page_split"):
        assert results.baseline[fact] == {"soft-dirty": 0, "uffd": 8}, fact


def test_what_soft_dirty_says_of_itself_is_so(results: Results) -> None:
    key = "soft-dirty", "shmem"
    assert results.seen["check_read_after_a_drop"][key].lost > 0
    assert results.seen["check_neighbours"][key].surplus > 0
    assert results.seen["check_two_heaps"][key].lost > 0, "clearing is of the whole process"
    dropped = results.seen["check_read_after_a_drop"]
    assert {seen.lost for (barrier, _), seen in dropped.items() if barrier == "uffd-wp-async"} == {0}


def test_known_losses_are_observed(needs: Needs) -> None:
    needs("lab")
    results = machines.guest()
    for loss in LOSSES:
        for memory in loss.memories:
            key = loss.barrier, memory
            if loss.where.startswith("check_"):
                assert results.seen[loss.where][key].lost > 0, loss
            else:
                # On one of the two: the guest lets no user have any log, and so loses less of what is logged; and
                # its disk is memory, which no read goes round.
                seen = {
                    each.kernel_stores[loss.user or "root"][key][loss.where] for each in (results, machines.native())
                }
                assert "lost" in seen, loss


def stable(rows: list[str]) -> list[str]:
    """Without what soft-dirty loses and reports too much: some of it depends on what the kernel happens to reclaim."""
    return [row.rpartition("|")[0].rsplit("|", 2)[0] if "`soft-dirty`" in row else row for row in rows]


def test_the_table_is_what_is_observed(needs: Needs) -> None:
    needs("lab")
    committed = table.TABLE.read_text(encoding="utf-8")
    _, _, section = committed.partition(f"## {table.DEFAULT}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    assert stable(lines) == stable(table.rows(machines.guest())), "make it again, as it says itself"
    assert committed.endswith(table.notes())
