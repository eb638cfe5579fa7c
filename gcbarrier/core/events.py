"""The core's raw events, and the pauses and cycles that they add up to.

An event is a phase with its CLOCK_MONOTONIC stamps; ``pause`` is 0 where mutators ran meanwhile. What the oracle takes
inside a pause is not the collector's: it is left out of the pause's length.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.model import Cycle, Pause, Stall
from gcbarrier.model.kinds import FELL_BACK, PAUSE_KINDS, PREEMPTED, Kind

EVENT = np.dtype(
    [
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("value", "<u8"),
        ("cycle", "<u4"),
        ("pause", "<u4"),
        ("kind", "<u2"),
        ("flags", "<u2"),
        ("thread", "<u4"),
    ]
)
"""``gcb_event`` in ``native/include/event.h``. ``thread`` is 0 for the collector's, ``k`` for mutator ``k - 1``."""

_PAUSE_PHASES = (Kind.TTSP, Kind.ROOTS, Kind.COLLECT, Kind.RESCAN, Kind.MARK, Kind.RESUME)


def pauses(events: NDArray[Any]) -> tuple[Pause, ...]:
    """The pauses in ``events`` (of dtype EVENT, in any order), by the time of their request."""
    collects = events[(events["kind"] == Kind.COLLECT)]
    found = []
    for whole in np.sort(events[events["kind"] == Kind.PAUSE], order="start_ns"):
        parts = events[(events["pause"] == whole["pause"]) & (events["kind"] != Kind.PAUSE)]
        name = PAUSE_KINDS[int(whole["value"])]
        # A round is a collect that another look at the world follows; the last pause's own is none.
        before = (collects["cycle"] == whole["cycle"]) & (collects["start_ns"] < whole["start_ns"])
        spent = {f"{kind.name.lower()}_ns": _duration(parts, kind) for kind in _PAUSE_PHASES}
        found.append(
            Pause(
                cycle=int(whole["cycle"]),
                kind=name,
                start_ns=int(whole["start_ns"]),
                pause_ns=int(whole["end_ns"] - whole["start_ns"]) - _duration(parts, Kind.ORACLE),
                dirty_granules=int(parts["value"][parts["kind"] == Kind.COLLECT].sum()),
                rounds=int(before.sum()),
                preempted=bool(whole["flags"] & PREEMPTED),
                prototype=name == "prototype",
                fell_back=bool((parts["flags"][parts["kind"] == Kind.COLLECT] & FELL_BACK).any()),
                **spent,
            )
        )
    return tuple(found)


def stalls(events: NDArray[Any]) -> tuple[Stall, ...]:
    """The waits for memory in ``events``, in order."""
    found = np.sort(events[events["kind"] == Kind.STALL], order="start_ns")
    return tuple(
        Stall(
            cycle=int(each["cycle"]),
            mutator=int(each["thread"]) - 1,
            start_ns=int(each["start_ns"]),
            stall_ns=int(each["end_ns"] - each["start_ns"]),
            request_bytes=int(each["value"]),
        )
        for each in found
    )


def cycles(events: NDArray[Any], causes: Mapping[int, str]) -> tuple[Cycle, ...]:
    """The cycles that ended in ``events``, in order; ``causes`` says why each began."""
    found = []
    for end in np.sort(events[events["kind"] == Kind.CYCLE], order="cycle"):
        own = events[(events["cycle"] == end["cycle"]) & (events["thread"] == 0)]
        marks = own[own["kind"] == Kind.MARK]
        last = own["pause"][(own["kind"] == Kind.PAUSE)].max(initial=0)
        rounds = np.sort(own[(own["kind"] == Kind.COLLECT) & (own["pause"] != last)], order="start_ns")
        start_ns = int(own["start_ns"].min())
        found.append(
            Cycle(
                cycle=int(end["cycle"]),
                cause=causes.get(int(end["cycle"]), ""),
                start_ns=start_ns,
                duration_ns=int(end["end_ns"]) - start_ns,
                rounds=len(rounds),
                marked_objects=int(marks["value"].sum()),
                mark_ns=_duration(marks, Kind.MARK),
                live_bytes=int(end["value"]),
                round_dirty=tuple(int(value) for value in rounds["value"]),
            )
        )
    return tuple(found)


def _duration(events: NDArray[Any], kind: Kind) -> int:
    own = events[events["kind"] == kind]
    return int((own["end_ns"] - own["start_ns"]).sum())


__all__ = ["EVENT", "FELL_BACK", "PAUSE_KINDS", "PREEMPTED", "Kind", "cycles", "pauses", "stalls"]
