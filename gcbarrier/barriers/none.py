"""No barrier at all: mutators pay nothing, and marking needs a stopped world."""

from gcbarrier.barriers import Barrier
from gcbarrier.model import MEMORY_TYPES

BARRIER = Barrier(tracks=False, atomic=True, memories=MEMORY_TYPES)
