"""Asynchronous userfaultfd write-protection by its first protocol: read bit 57 of pagemap, then protect again.

Two steps, and a store between them would be lost: it re-arms only while mutators are stopped.
"""

from gcbarrier.barriers import Barrier
from gcbarrier.model import MEMORY_TYPES

BARRIER = Barrier(needs=("async-uffd-wp",), atomic=False, memories=MEMORY_TYPES)
