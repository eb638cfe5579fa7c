"""Which processors the threads of an invocation run on, where that is not left to the scheduler."""

import os
from collections.abc import Collection, Sequence

from attrs import frozen

from gcbarrier.errors import GcBarrierError

WORDS = ("apart", "together", "none")


@frozen(kw_only=True)
class Placement:
    """Processors by their numbers; empty: wherever the scheduler puts a thread."""

    collector: tuple[int, ...] = ()
    """Each of the collector's threads runs on any of these: markers and a barrier's own thread as well."""
    mutators: tuple[int, ...] = ()
    """Mutator i runs on the i-th of these, and further ones begin anew."""

    def __str__(self) -> str:
        """``collector 0, mutators 1-3``; "" where nothing is pinned."""
        if not self.collector:
            return ""
        return f"collector {listed(self.collector)}, mutators {listed(self.mutators)}"

    @property
    def processors(self) -> tuple[int, ...]:
        """All of these, the mutators' first."""
        return tuple(dict.fromkeys((*self.mutators, *self.collector)))


def placed(pin: str, mutators: int, allowed: Collection[int] | None = None) -> Placement:
    """Where ``pin`` of a configuration puts its threads, of the processors that this process may use.

    ``apart``: a processor for each mutator as long as there is one more for the collector, which has all that are left
    then. Its threads get the lowest: where interrupts arrive, as a rule. ``together``: all on the last. Raises
    GcBarrierError where that can't be.
    """
    usable = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    if pin in ("", "none"):
        return Placement()
    if pin == "together":
        return Placement(collector=(usable[-1],), mutators=(usable[-1],))
    if pin == "apart":
        if len(usable) < 2:
            raise GcBarrierError(
                f"pin=apart needs a processor for the collector and one for the mutators, and this process may use "
                f"{listed(usable)} alone: allow it more (taskset, cpuset), or pin nothing"
            )
        left = max(len(usable) - mutators, 1)
        return Placement(collector=tuple(usable[:left]), mutators=tuple(usable[left:]))
    collector, _, others = pin.partition("/")
    found = Placement(collector=numbers(collector), mutators=numbers(others))
    if lacking := sorted({*found.collector, *found.mutators} - set(usable)):
        raise GcBarrierError(
            f"pin={pin} asks for processor {listed(lacking)}, and this process may use {listed(usable)}: choose from "
            "these, or allow it more (taskset, cpuset)"
        )
    return found


def check(pin: str) -> str:
    """``pin`` as a configuration has it: "" for ``none``. Raises GcBarrierError where it is no placement."""
    if pin in WORDS:
        return "" if pin == "none" else pin
    collector, slash, mutators = pin.partition("/")
    if not slash:
        raise GcBarrierError(
            f"pin={pin[:40]}: it takes {', '.join(WORDS)}, or two lists of processors such as 0/1-3, "
            "the collector's and the mutators'"
        )
    for each in (collector, mutators):
        numbers(each)
    return pin


def numbers(text: str) -> tuple[int, ...]:
    """``0,2-4`` as the numbers that it stands for. Raises GcBarrierError where it stands for none."""
    found: list[int] = []
    for part in text.split(",") if text.isascii() else ("",):
        first, dash, last = part.partition("-")
        # Nobody has more of them, and a range is written out here.
        if not (first.isdecimal() and (last.isdecimal() or not dash)) or max(len(first), len(last)) > 4:
            raise GcBarrierError(f"{text[:40]!r} is no list of processors: write one such as 0,2-4")
        found += range(int(first), int(last or first) + 1)
    if not found or len(set(found)) < len(found):
        raise GcBarrierError(f"{text[:40]!r} is no list of processors: name each once, from the lowest on")
    return tuple(found)


def listed(processors: Sequence[int]) -> str:
    """The other way round, in ascending order: ``0,2-4``."""
    runs: list[list[int]] = []
    for each in sorted(processors):
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


__all__ = ["WORDS", "Placement", "check", "listed", "numbers", "placed"]
