"""Soft-dirty page-table bits: clear_refs protects the whole process, pagemap bit 55 tells what was written since.

``Documentation/admin-guide/mm/soft-dirty.rst``. Clearing has no range form and is a second step after reading, so it
re-arms only while mutators are stopped.
"""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(
    needs=("soft-dirty",),
    atomic=False,
    loses="memory dropped by MADV_DONTNEED, reclaimed or split from a huge page comes back clean; two users in one "
    "process clear each other's bits",
    overreports="fresh, merged and moved mappings read as written",
    # Not hugetlb: the kernel does not clear the bits there, and all of it would read as written for ever.
    memories=("shmem", "shmem-thp", "anonymous", "anonymous-thp"),
)
