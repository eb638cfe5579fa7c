"""The kinds of raw events, for the room that records them and for those that read them from a run directory."""

from enum import IntEnum

PREEMPTED = 1
"""Flag of a pause: a thread that took part was involuntarily descheduled around it: the collector's in it, a mutator
that was waited for from the last round on, or any that was held, until it ran again."""
FELL_BACK = 2
"""Flag of a collect: the barrier did it in another, slower way than its own."""


class Kind(IntEnum):
    """``gcb_event_kind``; what ``value`` counts is in brackets."""

    PAUSE = 1
    """A stop of the world as a whole [its place in PAUSE_KINDS]."""
    TTSP = 2
    """From the request to the last mutator at rest [mutators waited for]."""
    ROOTS = 3
    """[roots]"""
    COLLECT = 4
    """[granules reported]"""
    RESCAN = 5
    """[objects looked at]"""
    MARK = 6
    """[objects visited]"""
    RESUME = 7
    """To the moment the last mutator ran again."""
    ARM = 8
    """[granules; pages, where a fork arms]"""
    SWEEP = 9
    """[blocks freed]"""
    STALL = 10
    """A mutator waited for memory [bytes asked for]."""
    ORACLE = 11
    """[objects checked]"""
    CYCLE = 12
    """The end of a cycle [live bytes]."""
    HELD = 13
    """A stop of the world held a mutator, from its arrival to the moment it ran again."""
    HELP = 14
    """A mutator lingered at its safepoints, because the collector had asked for help [ns of it: all of the time from
    start to end, but where the ring of events was full and one event stands for several]."""
    FAULTS = 15
    """A mutator's page faults between two looks at its count [minor faults]."""


PAUSE_KINDS = ("", "remark", "rearm", "full", "prototype", "snapshot", "fork", "flip", "minor")
"""``gcb_pause_kind``."""

__all__ = ["FELL_BACK", "PAUSE_KINDS", "PREEMPTED", "Kind"]
