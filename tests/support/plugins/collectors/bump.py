"""No collector: memory that is handed out once. The least that one with memory of its own can be."""

from attrs import frozen

from gcbarrier.collectors import Runtime, Timed

RUNTIME = Runtime()


@frozen(kw_only=True)
class Params(Timed):
    """``every_s`` alone."""

    chunk_bytes: int = 1 << 16
    """What a mutator takes at a time."""
