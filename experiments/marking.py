"""What does it cost to mark an object, and to rescan a dirty page, as the heap grows?

The framework's marker and the plain loop that everybody writes first (a mark bitmap, a test at the push, a ring of 32
prefetched objects) mark the same random graph of 64-byte objects with 4 references each, in turns, in one process. The
graph takes six tenths of the heap. Then random pages of it are rescanned. The aim: at most 1.2 times the plain loop
with one thread, and 1.7 times as fast with two, where two processors have nothing else to do.
"""

from gcbarrier.campaign.plans import Plan, choose, fitting
from gcbarrier.model import Machine, Probe
from gcbarrier.report import BYTES, Across, Axis, Curves, Look, Measure, Names, Report, agreement, point_spread, reading
from gcbarrier.report.units import format_number
from gcbarrier.results.points import Point

MIB = 1 << 20
QUICK = (64, 256)
FULL = (64, 256, 1024, 4096, 8192)
EMULATED = (16,)
THREADS = "1 2"
PAGES = "1000 8000"


def plan(*, machine: Machine, quick: bool) -> Plan:
    """From 64 MiB to 8 GiB, as far as the memory reaches; emulated, one small size."""
    at = choose(machine, quick)
    sizes, left_out = fitting((size * MIB for size in at(full=FULL, quick=QUICK, emulated=EMULATED)), machine)
    probes = [
        Probe(
            function="gcbarrier.bench.marker:marking",
            barrier="none",
            heap_bytes=size,
            arguments={
                "markers": at(full=THREADS, emulated="1"),
                "pages": PAGES,
                "rounds": at(full=5, quick=3, emulated=3),
            },
            estimate_s=0.5 + size / MIB / 200,
        )
        for size in sizes
    ]
    return Plan(probes=probes, invocations=at(full=3, quick=1), left_out=left_out)


def _threads(point: Point) -> str:
    return "1 thread" if point.x == 1 else f"{point.x:g} threads"


def _curve(point: Point) -> str:
    """Whose it is; a quotient is nobody's."""
    names = {"plain": PLAIN, "marker": f"marker, {_threads(point)}", "rescan": f"{format_number(point.x)} pages"}
    return names.get(point.what, "")


def _head(point: Point) -> str:
    """The column it is in."""
    heads = {"quotient": f"{_threads(point)} / plain", "rescan": f"rescan, {_curve(point)}"}
    return heads.get(point.what) or _curve(point).removeprefix("marker, ")


PLAIN = "plain loop"
LOOKS = {
    PLAIN: Look(colour="#999999", marker="o"),
    "marker, 1 thread": Look(colour="#0077BB", marker="s"),
    "marker, 2 threads": Look(colour="#EE7733", marker="^"),
    "1,000 pages": Look(colour="#009988", marker="D"),
    "8,000 pages": Look(colour="#CC3311", marker="v"),
}
HEADS = (PLAIN, "1 thread", "2 threads", "1 thread / plain", "2 threads / plain")
SIZE = Axis("heap", "heap_bytes", BYTES)
MARK = Measure("marking, an object", None, lambda p: point_spread(p) if p.what in ("plain", "marker") else None)
RESCAN = reading("rescanning a dirty page, one thread", "rescan")
REPORT = Report(
    title="What marking costs as the heap grows.",
    figure=Curves(x=SIZE, y=(MARK, RESCAN), band=True, width=3.6, tall=2.9),
    table=Across(rows=SIZE, columns=Names("", _head, order=HEADS), value=Measure("cost", None, point_spread).ranged),
    remarks=agreement,
    by=Names("", _curve, order=tuple(LOOKS), looks=LOOKS),
)
figures, table = REPORT.figures, REPORT.table
