"""Software card marking that tests the card first: fewer writes to shared lines, and a load and a branch more.

HotSpot's ``UseCondCardMark`` (Dice, "False sharing induced by card table marking", 2011). The test may be satisfied
before the reference's own store has left the store buffer: were the card cleared and its slots read in between, the
mutator would see the old mark, the collector the old reference, and the store would never be looked at. So cards are
cleared only while mutators are stopped, and once, when arming, with mutators running and ``membarrier(2)`` making each
of them pass a fence before anything is marked.
"""

from gcbarrier.barriers.cards import Params
from gcbarrier.model import MEMORY_TYPES, Barrier

__all__ = ["BARRIER", "Params"]


def BARRIER(params: Params) -> Barrier:  # noqa: N802 - it stands where the others have a constant
    """What it promises: re-armed in a pause only."""
    return Barrier(atomic=False, granule_bytes=params.card_bytes, memories=MEMORY_TYPES)
