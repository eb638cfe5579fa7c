"""Which pages does each page barrier report falsely, and which does it lose, when mappings change?

What "a more accurate soft-dirty" means, as a picture. 64 pages are tracked and armed, one or a few are written, then
something happens to the mapping: a neighbour is mapped that the kernel merges with it, ``mremap`` moves or grows it,
half of it is mapped anew, its page-table entries are dropped, the process forks ... Another page is written, and the
barrier is asked. A page that it reports and nobody wrote costs time; one that it does not report though it was written
would cost the heap its life. A barrier may also refuse to answer, or crash, which is neither.

The barriers are the page barriers that are here, by what they promise; software barriers, prototypes and ``fork-cow``
watch stores or nothing and not mappings, and are left out.
"""

from collections.abc import Sequence

from attrs import field, frozen

from gcbarrier.bench.circumstances import CIRCUMSTANCES, GROWN, PAGES, page_barriers
from gcbarrier.campaign.plans import Plan, choose
from gcbarrier.model import Machine, Probe
from gcbarrier.report import BARRIER, Across, Column, Grid, Names, Report
from gcbarrier.report.units import DASH
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB = 1 << 20
EXACT, FALSE, LOST, REFUSED = COLOURS = {
    "exact": "#DDEFE5",
    "false: pages reported and not written": "#F6D9A8",
    "lost: pages written and not reported": "#E8867C",
    "refuses or crashes: no answer, and no silence": "#E4E4E4",
}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every page barrier on shared and on private memory."""
    probes = [
        Probe(
            function="gcbarrier.bench.circumstances:accuracy",
            barrier=name,
            memory=memory,
            heap_bytes=MIB,
            estimate_s=0.2,
        )
        for name in page_barriers()
        for memory in ("shmem", "anonymous")
    ]
    # Counts, not samples: more than twice would say nothing new.
    return Plan(probes=probes, invocations=choose(machine, quick)(full=2, quick=1))


@frozen(kw_only=True)
class Answer:
    """What a barrier answered in one circumstance: the worst of the invocations."""

    memory: str
    circumstance: str
    barrier: str
    counts: dict[str, int] = field(factory=dict)
    refused: list[str] = field(factory=list)
    """Why, if it did."""

    @property
    def verdict(self) -> str:
        """The colour it gets."""
        if self.refused:
            return REFUSED
        return LOST if self.counts.get("lost") else FALSE if self.counts.get("false") else EXACT

    @property
    def words(self) -> str:
        """The verdict with its numbers, on up to two lines."""
        if self.refused:
            return "crashes" if "crashed" in self.refused[0] else "refuses"
        said = [f"{self.counts[kind]} {kind}" for kind in ("false", "lost") if self.counts.get(kind)]
        return "\n".join(said) or "exact"


def answers(run: Run, machine: str) -> list[Answer]:
    """Everything that was found on one machine."""
    found: dict[tuple[str, str, str], Answer] = {}
    for point in points(run, machine):
        name, _, what = point.what.partition("/")
        one = Answer(memory=point.memory, circumstance=name, barrier=point.barrier)
        one = found.setdefault((point.memory, name, point.barrier), one)
        if what == "refused":
            one.refused.append(point.notes[0] if point.notes else "it gave no reason")
        else:
            one.counts[what] = max(one.counts.get(what, 0), int(max(point.value.each)))
    return list(found.values())


def _written(found: Sequence[Answer]) -> str:
    counts = {one.counts["expected"] for one in found if one.counts}
    return ", ".join(str(count) for count in sorted(counts)) or DASH


def _row(name: str, found: Sequence[Answer]) -> str:
    return f"{name}  (of {_written([one for one in found if one.circumstance == name])} written)"


def _reasons(found: Sequence[Answer]) -> list[str]:
    said: dict[str, list[str]] = {}
    for one in found:
        for reason in one.refused:
            said.setdefault(reason, []).append(f"{one.barrier} ({one.circumstance})")
    return [f"“{reason}”: {', '.join(dict.fromkeys(whose))}." for reason, whose in said.items()]


MEMORY = Names("memory", "memory", order=("shmem", "anonymous"))
CIRCUMSTANCE = Names("circumstance", "circumstance", order=tuple(CIRCUMSTANCES))
REPORT = Report(
    title="What page barriers report when mappings change.",
    figure=Grid(
        rows=CIRCUMSTANCE,
        columns=BARRIER,
        words=lambda one: one.words,
        verdict=lambda one: one.verdict,
        colours=COLOURS,
        label=_row,
        per=MEMORY,
    ),
    table=Across(
        rows=CIRCUMSTANCE,
        columns=BARRIER,
        value=Column(head="answer", words=lambda one: one.words.replace("\n", ", ")),
        last=[("written", _written)],
        per=MEMORY,
        title="pages",
    ),
    remarks=(
        f"Pages, of {PAGES} tracked ({GROWN} once grown, the new ones never written). What another mapping "
        "writes is lost by all, as it must be: page tables are per mapping. So a collector writes unseen.",
        _reasons,
    ),
    cells=answers,
)
figures, table = REPORT.figures, REPORT.table
