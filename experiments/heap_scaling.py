"""Does the remark pause grow with the heap where the same number of pages is written in each cycle?

``bursts`` writes ``PAGES`` pages of each cycle, at random over the whole heap, and the remark comes without a round
before it: so its collect finds exactly these, in 64 MiB as in 16 GiB. What grows with the heap is what a barrier looks
at beside them. Natively up to 16 GiB as far as memory allows; in the lab, where soft-dirty is, up to 1 GiB.

So that building and marking stay short, the live share falls with the size: 64 MiB of objects from 256 MiB on, but at
least one object on each page, which makes 256 MiB at 16 GiB. The remark does not depend on it. Pauses whose collect
found another number of pages are left out and counted: there the mutator was not woken before marking was over.
"""

from collections.abc import Sequence
from functools import partial

from gcbarrier.campaign.plans import Plan, choose, fitting, product
from gcbarrier.model import Machine
from gcbarrier.report import BARRIER, BYTES, NS, Across, Axis, Curves, Measure, Report
from gcbarrier.report.units import DASH, format_ratio
from gcbarrier.results import Cell, Spread

MIB, GIB = 1 << 20, 1 << 30
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
PAGES = 100
NATIVE = tuple((64 << step) * MIB for step in range(9))
LIVE_BYTES = 64 * MIB


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every size that fits, under every barrier."""
    at = choose(machine, quick)
    small = (64 * MIB, 256 * MIB)
    wanted = at(full=NATIVE, quick=(*small, GIB), emulated=(*small, GIB), emulated_quick=small)
    sizes, left_out = fitting(wanted, machine)

    def duration_s(config: dict[str, int]) -> float:
        """Long enough for some ten cycles, which take longer the larger the heap is."""
        size = config["heap_bytes"] / GIB
        return at(full=1, emulated=4) * at(full=1.0 + 0.3 * size, quick=0.5 + 0.25 * size)

    configs = product(
        heap="bursts",
        heap_bytes=sizes,
        heap_params=lambda config: {"pages": PAGES, "live_share": live_share(config["heap_bytes"])},
        barrier=BARRIERS,
        collector="mostly-concurrent",
        collector_params={"rounds": 0, "every_s": 0.02},
        duration_s=duration_s,
    )
    return Plan(configs=configs, invocations=at(full=5, quick=1, emulated=3, emulated_quick=1), left_out=left_out)


def live_share(size: int) -> float:
    """Of a heap of ``size`` bytes."""
    return min(0.25, max(LIVE_BYTES / size, 1 / 64))


def times(cell: Cell, column: str) -> Spread:
    """The median of each invocation's remarks that found what was written, and nothing else."""
    return cell.medians("remark", column, where=lambda remarks: remarks["dirty_granules"] == _pages(cell))


def _pages(cell: Cell) -> int:
    return int(cell.config.heap_params.get("pages", PAGES))


def _other(found: Sequence[Cell]) -> str:
    """Remarks that found another number of pages than were to be written, and all remarks."""
    remarks = [(cell.pauses("remark")["dirty_granules"], _pages(cell)) for cell in found]
    other, every = sum(int((dirty != pages).sum()) for dirty, pages in remarks), sum(len(dirty) for dirty, _ in remarks)
    return f"{other} of {every} remarks found another number of pages than were written and are left out."


def _growth(measure: Measure, found: Sequence[Cell]) -> str:
    ends = [value for cell in found if (value := measure.value(cell))]
    return format_ratio(ends[-1].centre / ends[0].centre) if len(ends) > 1 else DASH


def _goals(found: Sequence[Cell]) -> list[str]:
    """What the log is to do, where it was measured."""
    by = {(cell.config.barrier, cell.config.heap_bytes): COLLECT.value(cell) for cell in found}
    pairs = (
        ("uffd-wp-log: collect at 8 GiB over that at 64 MiB", ("uffd-wp-log", 8 * GIB), ("uffd-wp-log", 64 * MIB)),
        ("collect at 4 GiB: uffd-wp-async over uffd-wp-log", ("uffd-wp-async", 4 * GIB), ("uffd-wp-log", 4 * GIB)),
        ("collect at 1 GiB: soft-dirty over uffd-wp-log", ("soft-dirty", GIB), ("uffd-wp-log", GIB)),
    )
    return [
        f"{name}: {format_ratio(by[one].centre / by[other].centre)}"
        for name, one, other in pairs
        if by.get(one) and by.get(other)
    ]


SIZE = Axis("heap", "heap_bytes", BYTES)
REMARK = Measure("the whole remark", NS, lambda cell: times(cell, "pause_ns"))
COLLECT = Measure("its collect", NS, lambda cell: times(cell, "collect_ns"))
RESCAN = Measure("its rescan", NS, lambda cell: times(cell, "rescan_ns"))
REPORT = Report(
    title="Remarks against heap size, {heap_params.pages} pages written per cycle.",
    figure=Curves(x=SIZE, y=(REMARK, COLLECT, RESCAN), one_scale=True, width=3.1, tall=3.4),
    table=[
        Across(
            rows=BARRIER,
            columns=SIZE,
            value=each.ranged,
            title=each.title,
            last=[("largest / smallest", partial(_growth, each))],
        )
        for each in (REMARK, COLLECT)
    ],
    remarks=_other,
    closing=_goals,
)
figures, table = REPORT.figures, REPORT.table
