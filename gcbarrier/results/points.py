"""What probes read, by what it is of."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from gcbarrier.model import Finding, Probe, Reading, Scalar
from gcbarrier.results.run import Run
from gcbarrier.results.spread import Spread, spread


@frozen(kw_only=True)
class Point:
    """The readings of one thing in all invocations on one machine."""

    barrier: str
    memory: str
    heap_bytes: int
    what: str
    x: float
    unit: str
    value: Spread
    """Of the invocations' values."""
    low: float
    high: float
    """The range of what was sampled: the least ``low`` and the greatest ``high``."""
    notes: tuple[str, ...]
    samples: int = 0
    """Of all invocations."""
    barrier_params: Mapping[str, Scalar] = field(factory=dict)

    @property
    def disagreement(self) -> float:
        """How far the invocations lie apart, as a share of the smallest; nan below two of them."""
        each = self.value.each
        if len(each) < 2 or not min(each):
            return float("nan")
        return max(each) / min(each) - 1


def points(run: Run, machine: str) -> tuple[Point, ...]:
    """The readings of one machine, put together over the invocations, in order of first appearance."""
    groups: dict[tuple[Probe, str, float], list[Reading]] = {}
    for finding, reading in _readings(run.found(machine)):
        # Whatever function read it, and how.
        of = Probe(
            function="any:any",
            barrier=finding.probe.barrier,
            barrier_params=finding.probe.barrier_params,
            memory=finding.probe.memory,
            heap_bytes=finding.probe.heap_bytes,
        )
        groups.setdefault((of, reading.what, reading.x), []).append(reading)
    return tuple(
        Point(
            barrier=of.barrier,
            barrier_params=of.barrier_params,
            memory=of.memory,
            heap_bytes=of.heap_bytes,
            what=what,
            x=x,
            unit=members[0].unit,
            value=spread([member.value for member in members]),
            low=min(member.value if member.low is None else member.low for member in members),
            high=max(member.value if member.high is None else member.high for member in members),
            notes=tuple(dict.fromkeys(member.note for member in members if member.note)),
            samples=sum(member.samples for member in members),
        )
        for (of, what, x), members in groups.items()
    )


def _readings(findings: tuple[Finding, ...]) -> Iterator[tuple[Finding, Reading]]:
    for finding in findings:
        for reading in finding.readings:
            yield finding, reading


__all__ = ["Point", "points"]
