"""Software card marking, inlined: a byte of a table for each card, set by every store of a reference.

Unconditional, as in Hölzle, "A fast write barrier for generational garbage collectors" (OOPSLA 1993 workshop on garbage
collection): shift, add, store. ``cards-conditional`` tests the byte first.
"""

from attrs import field, frozen, validators

from gcbarrier.model import MEMORY_TYPES, Barrier

CARD_BYTES = (128, 256, 512, 1024, 2048, 4096)


@frozen(kw_only=True)
class Params:
    """The size of a card."""

    card_bytes: int = field(default=512, validator=validators.in_(CARD_BYTES))
    """Bytes of heap that share a byte of the table: a power of two."""


def BARRIER(params: Params) -> Barrier:  # noqa: N802 - it stands where the others have a constant
    """What it promises: a card is cleared before it is read, and marked after it was written, so both may run."""
    return Barrier(atomic=True, granule_bytes=params.card_bytes, memories=MEMORY_TYPES)
