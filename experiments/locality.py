"""How do a real program's objects and references lie on its pages, and which of those pages does it store to?

For each graph with addresses: references and objects on a page, objects that lie on two, references that stay within
their page or within 2 MiB, and how many pages of mark bits a page of objects takes. A graph without addresses (V8's
snapshots have none) is placed breadth first from its roots, as ``snapshot`` allocates it, and is marked so. Where the
same process was recorded as well, the pages in which objects begin (those that a collector with its marks in their
headers writes in each cycle) are held against the pages that the program stored to. No barrier is at work here.

``--set probe.graph=app.graph.npz`` looks at a graph of your own, and ``--set probe.recording=app.pages`` at the
recording of the same process, of which ``probe.until_s`` seconds count.
"""

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from matplotlib.figure import Figure

from gcbarrier.campaign.plans import Plan
from gcbarrier.graphs import shipped
from gcbarrier.model import Machine, Probe, Reading
from gcbarrier.report import BYTES, COUNT, SHARE, Column, Lines, Measure, Names, Report, Rows
from gcbarrier.report.units import DASH, format_number
from gcbarrier.results import Spread, spread
from gcbarrier.results.run import Run

PLACED = " (breadth first)"
"""Behind the name of a program whose graph has no addresses."""


def plan(*, machine: Machine, quick: bool) -> Plan:  # noqa: ARG001 - a graph is the same everywhere
    """Each shipped graph once."""
    probes = [
        Probe(
            function="gcbarrier.bench.locality:of_graph",
            barrier="none",
            heap_bytes=1 << 20,
            arguments={"graph": name, "recording": "", "until_s": 0.0},
        )
        for name in shipped.names()
    ]
    return Plan(probes=probes)


@frozen(kw_only=True)
class Program:
    """What was found of one graph."""

    name: str
    readings: dict[str, Reading]

    def value(self, what: str) -> float:
        """One number; nan where there is none."""
        return self.readings[what].value if what in self.readings else float("nan")

    def spread(self, what: str) -> Spread | None:
        """With the middle half of all pages, where the number is a mean of these."""
        found = self.readings.get(what)
        if found is None or found.value != found.value:
            return None
        low, high = (found.value if each is None else each for each in (found.low, found.high))
        return Spread(each=(found.value,), centre=found.value, low=min(low, found.value), high=max(high, found.value))


def programs(run: Run, machine: str) -> Sequence[Program]:
    """What each probe found, once, however often it ran."""
    found: dict[str, Program] = {}
    for finding in run.found(machine):
        readings = {reading.what: reading for reading in finding.readings}
        if "objects" not in readings:
            continue
        graph = str(finding.probe.arguments["graph"])
        name = graph.rpartition("/")[2].removesuffix(".graph.npz") + PLACED * (not readings["placed"].value)
        found.setdefault(graph, Program(name=name, readings=readings))
    return list(found.values())


def _number(title: str, what: str, unit: Any, head: str = "") -> Measure:
    return Measure(title, unit, lambda program: program.spread(what), head=head or title)


def _bitmap(program: Program) -> Spread | None:
    pages = program.value("bitmap-pages")
    return spread([pages / program.value("marked-pages")]) if pages == pages else None


def _counted(head: str, what: str) -> Column:
    return Column(
        head=head,
        words=lambda program: format_number(program.value(what)),
        number=lambda program, _: program.value(what),
    )


PROGRAM = Names("program", "name")
OBJECTS = _number("objects that begin on a page", "objects-a-page", COUNT, "objects/page")
REFERENCES = _number("references on a page", "references-a-page", COUNT, "references/page")
SPANNING = _number("objects on two pages\nor more", "spanning", SHARE.linear, "spanning")
ON_PAGE = _number("references that stay\nwithin a page", "on-page", SHARE.linear, "within a page")
ON_HUGE = _number("references that stay\nwithin 2 MiB", "on-huge", SHARE.linear, "within 2 MiB")
BITMAP = Measure("pages of mark bits\nfor a page of objects", SHARE.linear, _bitmap, head="bitmap pages/page")
SHARED = _number("of the pages stored to:\nwith marks in headers", "marked-of-stored", SHARE.linear, "stored: marked")
STORED = _number("of the pages with marks:\nstored to", "stored-of-marked", SHARE.linear, "marked: stored")
IN_A_TICK = _number("of a tick's pages:\nwith marks in headers", "marked-of-a-tick", SHARE.linear, "a tick's: marked")


def _recorded(programs: Sequence[Program]) -> str:
    named = [program.name for program in programs if program.spread("marked-of-stored") is not None]
    if not named:
        return "No process was recorded beside its graph."
    return (
        f"Recorded in the same process: {', '.join(named)}. A page is stored to where the recording has it in any tick."
    )


def _placed(programs: Sequence[Program]) -> str:
    named = [program.name.removesuffix(PLACED) for program in programs if program.name.endswith(PLACED)]
    return f"Without addresses, and so placed breadth first: {', '.join(named)}." * bool(named)


def _bars(programs: Sequence[Program]) -> str:
    return "A mark is the mean of all pages, a bar their middle half; shares have none." * bool(programs)


LYING = [
    [Rows(rows=PROGRAM, x=(OBJECTS, REFERENCES, SPANNING), words=True)],
    [Rows(rows=PROGRAM, x=(ON_PAGE, ON_HUGE, BITMAP), words=True)],
]
WRITTEN = [Rows(rows=PROGRAM, x=(SHARED, STORED, IN_A_TICK), words=True)]
REPORT = Report(
    title="How real programs' objects and references lie on their pages of 4 KiB.",
    figure=[*LYING, WRITTEN],
    table=(
        Lines(
            PROGRAM,
            _counted("objects", "objects"),
            _counted("references", "references"),
            Column(head="bytes", words=lambda program: BYTES.words(program.value("bytes"))),
            _counted("pages", "pages"),
            OBJECTS,
            REFERENCES,
            SPANNING,
            ON_PAGE,
            ON_HUGE,
        ),
        Lines(
            PROGRAM,
            _counted("pages with marks", "marked-pages"),
            _counted("of a bitmap", "bitmap-pages"),
            BITMAP,
            Column(head="stored to", words=lambda program: format_number(program.value("stored-pages")) or DASH),
            SHARED,
            STORED,
            IN_A_TICK,
        ),
    ),
    remarks=(_placed, _recorded, _bars),
    by=PROGRAM,
    cells=programs,
)
UNRECORDED = evolve(REPORT, figure=LYING)
table = REPORT.table


def figures(run: Run) -> dict[str, Figure]:
    """Without empty panels where no process was recorded."""
    recorded = any(program.spread("stored-pages") for each in run.machines for program in programs(run, each))
    return (REPORT if recorded else UNRECORDED).figures(run)
