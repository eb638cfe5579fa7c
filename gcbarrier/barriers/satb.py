"""Deletion logging, inlined: while marking, a store first puts what it overwrites into its mutator's buffer.

Yuasa, "Real-time garbage collection on general-purpose machines" (Journal of Systems and Software 11, 1990): whatever
was reachable when the cycle began is marked, since no path to it is cut unnoticed; so no memory has to be looked at
again, and what died meanwhile floats until the next cycle. While nothing is being marked a store is a test and a
branch more than a plain one. A buffer grows by 8 bytes for each reference overwritten.
"""

from gcbarrier.model import MEMORY_TYPES, Barrier

BARRIER = Barrier(atomic=True, snapshot=True, memories=MEMORY_TYPES)
