"""The records everything else is made of: what is asked for (``asked``), and what came back (``seen``,
``temper``).

All of them are frozen, take keywords only and are checked when they are made; ``lines`` turns them into JSON and
back. Sizes are bytes, times are nanoseconds unless a name says otherwise. May import ``errors`` and ``displayed`` only;
every other room imports this one, under its own name.
"""

from attrs import evolve

from gcbarrier.model.asked import (
    MEMORY_TYPES,
    MOST_TIMES,
    PAGE_BYTES,
    TWO_VIEWS,
    Barrier,
    Config,
    Invocation,
    Machine,
    Number,
    Probe,
    Scalar,
    format_bytes,
    parse_bytes,
    parse_ns,
    whole,
)
from gcbarrier.model.lines import (
    converter,
    from_json,
    to_json,
)
from gcbarrier.model.seen import (
    PHASES,
    Cycle,
    Finding,
    Measured,
    Note,
    OperationTimes,
    Outcome,
    Pause,
    Reading,
    SlowOperation,
    Stall,
    Verification,
    Word,
)
from gcbarrier.model.temper import Gaps, Ran, Temper

__all__ = [
    "MEMORY_TYPES",
    "MOST_TIMES",
    "PAGE_BYTES",
    "PHASES",
    "TWO_VIEWS",
    "Barrier",
    "Config",
    "Cycle",
    "Finding",
    "Gaps",
    "Invocation",
    "Machine",
    "Measured",
    "Note",
    "Number",
    "OperationTimes",
    "Outcome",
    "Pause",
    "Probe",
    "Ran",
    "Reading",
    "Scalar",
    "SlowOperation",
    "Stall",
    "Temper",
    "Verification",
    "Word",
    "converter",
    "evolve",
    "format_bytes",
    "from_json",
    "parse_bytes",
    "parse_ns",
    "to_json",
    "whole",
]
