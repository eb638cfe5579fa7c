"""How do pauses, marking and allocation compare with the Boehm collector's, under the same mutators?

Three comparisons, each in memory of the same size for both, over the same programs:

- pauses: a graph of 256 MiB in a heap of 768 MiB, an operation is one store to a page of the 1 or 10 % that are hot and
  one allocation; as fast as it can be, and held to a million operations per second. Against it the Boehm collector's
  generational mode, whose dirty bits are its own. Both begin a cycle after about the same allocation. What counts is
  for how long all stops of a cycle together stop the mutator; the Boehm collector's full collections are left out.
- marking: with the world stopped, 64-byte objects with 4 references in a random graph, 256 MiB and 1 GiB; one marking
  thread each, and two. The Boehm collector's mark stack is made large beforehand: it would overflow else.
- allocation: nothing but that, beside live objects that take a quarter of the heap and lie close together or with gaps
  between them. What collections take is not counted; what sweeping takes on the way to an object is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Config, Machine, Outcome, format_bytes
from gcbarrier.report import BYTES, NS, Across, Axis, Curves, Look, Measure, Names, Report, Rows
from gcbarrier.report.grammar import bracketed
from gcbarrier.report.shown import note
from gcbarrier.report.units import TIMES, format_ratio
from gcbarrier.results import Cell, Spread, over, percentile, spread

MIB = 1 << 20
OBJECT_BYTES = 64
BATCH = 1000
OURS, OURS_TWO, BOEHM, TWO = "gcbarrier", "gcbarrier, 2 markers", "Boehm", "Boehm, 2 markers"
LOOKS = {
    OURS: Look(colour="#0072B2", marker="o"),
    OURS_TWO: Look(colour="#56B4E9", marker="D"),
    BOEHM: Look(colour="#D55E00", marker="s"),
    TWO: Look(colour="#CC79A7", marker="^"),
}
CLOSE, GAPPED = "live objects close together", "gaps between the live objects"
COMPARED = {BOEHM: OURS, TWO: OURS_TWO}
RATES = {1_000_000.0: "1 million/s", 0.0: "unlimited"}
ONLY_ALLOCATING = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 1.0}
_ENTRIES = 1 << 12
"""Of a mark stack for each MiB of the graph: a half of its objects may be on it."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Nothing for an emulated machine: the library is not in the lab's guest."""
    configs = () if machine.emulated else (*_pauses(machine, quick), *_marking(quick), *_allocation(machine, quick))
    return Plan(configs=configs, invocations=1 if quick else 5, essential=("bdwgc",))


def _pauses(machine: Machine, quick: bool) -> tuple[Config, ...]:
    at = choose(machine, quick)
    live = at(full=256, quick=32) * MIB
    return product(
        heap="graph_edits",
        heap_bytes=3 * live,
        heap_params=[
            {"nodes": live // OBJECT_BYTES, "hot_share": hot, "rate_per_s": rate, **ONLY_ALLOCATING}
            for hot in (0.01, 0.1)
            for rate in RATES
        ],
        duration_s=lambda config: at(full=6.0 if config["heap_params"]["rate_per_s"] else 4.0, quick=1.0),
        # Generational, the Boehm collector collects after a third of what lives; that is a sixth of what is free.
        pairs=[("uffd-wp-log", "mostly-concurrent", {"trigger": 0.17}), ("none", "bdwgc", _boehm(live))],
    )


def _marking(quick: bool) -> tuple[Config, ...]:
    found: tuple[Config, ...] = ()
    for live, duration_s in ((32 * MIB, 0.5),) if quick else ((256 * MIB, 2.5), (1024 * MIB, 5.0)):
        pairs: list[tuple[Any, ...]] = []
        for markers in (1, 2):
            often = {"every_s": 0.05, "markers": markers}
            pairs.append(("none", "stop-the-world", often))
            pairs.append(("none", "bdwgc", {**_boehm(live), "incremental": False, **often}))
        found += product(
            heap="graph_edits",
            heap_bytes=2 * live,
            heap_params={"nodes": live // OBJECT_BYTES, "rate_per_s": 1000.0},
            duration_s=duration_s,
            pairs=pairs,
        )
    return found


def _allocation(machine: Machine, quick: bool) -> tuple[Config, ...]:
    at = choose(machine, quick)
    sizes = at(full=(16, 32, 64, 128, 256), quick=(16, 64, 256))
    return product(
        heap="allocate",
        heap_bytes=at(full=256, quick=64) * MIB,
        heap_params=[{"object_bytes": size, "gap": gap, "batch": BATCH} for gap in (0, 1) for size in sizes],
        duration_s=at(full=0.6, quick=0.3),
        pairs=[("none", "stop-the-world", {"trigger": 0.9}), ("none", "bdwgc", {"incremental": False})],
    )


def _boehm(live: int) -> dict[str, Any]:
    return {"mark_stack": live // MIB * _ENTRIES * 2}


def who(cell: Cell) -> str:
    """Whose collector it is, and with how many markers if that is not one."""
    two = cell.config.collector_params.get("markers") == 2
    if cell.config.collector != "bdwgc":
        return OURS_TWO if two else OURS
    return TWO if two else BOEHM


def _edits(cell: Cell) -> str:
    """Which pauses it is of: how much is hot, and how fast it is edited."""
    given = cell.config.heap_params
    if "hot_share" not in given:
        return ""
    rate = float(given["rate_per_s"])
    return f"{100 * float(given['hot_share']):g} % hot, {RATES.get(rate, f'{rate:,.0f}/s')}"


def _live(cell: Cell) -> str:
    """Which marking it is of."""
    given = cell.config.heap_params
    return format_bytes(int(given["nodes"]) * OBJECT_BYTES) if "nodes" in given and "hot_share" not in given else ""


def _gaps(cell: Cell) -> str:
    """Which allocation it is of."""
    if cell.config.heap != "allocate":
        return ""
    return GAPPED if cell.config.heap_params["gap"] else CLOSE


def stopped(outcome: Outcome) -> float:
    """The median of what all stops of a cycle take together; of one that looked at everything, none."""
    found: dict[int, int] = {}
    for pause in outcome.pauses:
        found[pause.cycle] = found.get(pause.cycle, 0) + pause.pause_ns
    whole = {pause.cycle for pause in outcome.pauses if pause.kind == "full"}
    return percentile([spent for cycle, spent in found.items() if cycle not in whole], 50)


def _remark(outcome: Outcome) -> float:
    return percentile([pause.pause_ns for pause in outcome.pauses if pause.kind == "remark"], 50)


def _all_cpu(outcome: Outcome) -> float:
    return (outcome.mutator_cpu_ns + outcome.collector_cpu_ns) / outcome.operations


def _measure(title: str, name: Callable[[Cell], str], number: Callable[[Outcome], float], head: str = "") -> Measure:
    """A number of each invocation that did anything, of the cells that have a name."""

    def of(cell: Cell) -> Spread | None:
        return cell.each(lambda one: number(one) if one.operations else float("nan")) if name(cell) else None

    return Measure(title, NS, of, head=head)


def _marking_ns(outcome: Outcome) -> float:
    full = [pause.mark_ns for pause in outcome.pauses if pause.kind == "full"]
    return percentile(full, 50) / int(outcome.invocation.config.heap_params["nodes"])


def _ratio(measure: Measure, whose: str, cells: Sequence[Cell]) -> Spread:
    """How many times what ours takes with as many markers, of cells that are compared; empty where one lacks."""
    by = {who(cell): measure.value(cell) for cell in cells}
    return over(by.get(whose, spread([])), by.get(COMPARED.get(whose, ""), spread([])))


def _said(measure: Measure, cell: Cell, cells: Sequence[Cell]) -> str:
    beside = [one for one in cells if (_edits(one), _live(one)) == (_edits(cell), _live(cell))]
    ratio = _ratio(measure, who(cell), beside)
    return f"{measure.say(cell)}  ({format_ratio(ratio.centre)} {TIMES})" if ratio else measure.say(cell)


def _ranged(measure: Measure, whose: str, cells: Sequence[Cell]) -> str:
    ratio = _ratio(measure, whose, cells)
    note(next((cell for cell in cells if who(cell) == whose), None), f"{measure.title}, {TIMES} ours", ratio)
    return bracketed(ratio, format_ratio) if ratio else ""


def _table(rows: Names, measure: Measure) -> Across:
    ratios = [(f"{name} {TIMES} ours", partial(_ranged, measure, name)) for name in COMPARED]
    return Across(
        rows=rows,
        columns=WHO,
        value=measure.ranged,
        last=ratios if rows is LIVE else ratios[:1],
        title=measure.title.replace("\n", " "),
        keep=lambda cell: bool(rows.name(cell) and measure.value(cell)),
    )


def _about(cells: Sequence[Cell]) -> Sequence[str]:
    live = sorted({int(cell.config.heap_params["nodes"]) * OBJECT_BYTES for cell in cells if _edits(cell)})
    facts = (one.facts for cell in cells for one in cell.outcomes if one.facts.get("incremental"))
    theirs = next((each for each in facts if "bdwgc" in each), {})
    return [
        f"Boehm {theirs.get('bdwgc', '')}, generational over {theirs.get('vdb', 'nothing')} where pauses are compared, "
        f"with {' or '.join(map(format_bytes, live)) or 'nothing'} live. One mutator. Beside marks: how many times "
        "ours the Boehm collector's is. Its pauses, as its own events tell them, are the stops alone: what a mutator "
        "waits before and after one, while it prepares and sweeps, is not in them."
    ]


WHO = Names("collector", who, order=tuple(LOOKS), looks=LOOKS)
EDITS = Names("", _edits, order=[f"{hot} % hot, {rate}" for hot in (1, 10) for rate in RATES.values()])
LIVE, GAPS = Names("", _live), Names("", _gaps, order=(CLOSE, GAPPED))
SIZES = Names("", lambda cell: f"{name}, {cell.config.heap_params['object_bytes']} B" if (name := _gaps(cell)) else "")
SIZE = Axis("bytes of an object", "heap_params.object_bytes", BYTES)
STOPPED = _measure("stopped in a cycle", _edits, stopped)
REMARK = _measure("of that, the remark", _edits, _remark)
CPU = _measure("processor time per operation,\nmutator and collector together", _edits, _all_cpu)
MARKING = _measure("marking, per object", _live, _marking_ns)
ALLOCATION = _measure(
    "an allocation, without what collections take", _gaps, lambda one: one.mutator_cpu_ns / (one.operations * BATCH)
)
REPORT = Report(
    title="The same mutators under the Boehm collector.",
    figure=(
        Rows(rows=EDITS, x=STOPPED, words=_said, width=3.4, row=0.55),
        Rows(rows=EDITS, x=CPU, words=_said, labels=False, width=2.6, row=0.55),
        Rows(rows=LIVE, x=MARKING, words=_said, width=2.8),
        Curves(x=SIZE, y=ALLOCATION, dashed=GAPS, width=2.7, tall=2.2),
    ),
    table=[_table(EDITS, each) for each in (STOPPED, REMARK, CPU)] + [_table(LIVE, MARKING), _table(SIZES, ALLOCATION)],
    remarks=_about,
    by=WHO,
)
figures, table = REPORT.figures, REPORT.table
