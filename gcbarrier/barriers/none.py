"""No barrier at all: mutators pay nothing, and marking needs a stopped world."""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(tracks=False, atomic=True)
