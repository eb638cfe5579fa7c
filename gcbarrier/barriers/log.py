"""Object logging, inlined: the first store to an object since arming puts the object into its mutator's buffer.

Levanoni and Petrank, "An on-the-fly reference-counting garbage collector for Java" (OOPSLA 2001); Blackburn and
Hosking, "Barriers: friend or foe?" (ISMM 2004) has the inline test of one bit and the rest out of line. Each 16 bytes
of heap have that bit outside the heap, which stands for the object that begins there; with the dirty set, the metadata
are 0.9 % of the heap, and a buffer grows by 8 bytes for each object logged.

Objects with more than ``whole_references`` references are not logged whole, or one store into a table would have all
of the table looked at: theirs are logged by the piece of 128 bytes, each with a bit of its own among those that the
object spans.
"""

from attrs import field, frozen, validators

from gcbarrier.model import MEMORY_TYPES, Barrier


@frozen(kw_only=True)
class Params:
    """Which objects are logged whole."""

    whole_references: int = field(default=64, validator=[validators.ge(16), validators.le(1 << 20)])
    """Objects with no more references than this are; larger ones by pieces."""


def BARRIER(params: Params) -> Barrier:  # noqa: N802, ARG001 - it stands where the others have a constant
    """What it promises: ``membarrier(2)`` orders the mutators' tests with a re-arming that doesn't stop them."""
    return Barrier(
        atomic=True,
        granule_bytes=128,
        memories=MEMORY_TYPES,
        overreports="an object's other references, which may be on the next page",
    )
