"""Asynchronous userfaultfd write-protection, collected and re-armed in one step by PAGEMAP_SCAN.

The kernel drops a page's uffd-wp bit at the first store and sends no message
(``Documentation/admin-guide/mm/userfaultfd.rst``, ``UFFD_FEATURE_WP_ASYNC``). ``PAGEMAP_SCAN`` reports and re-protects
under one page-table lock (``Documentation/admin-guide/mm/pagemap.rst``), so a store is either in this report or faults
again and is in the next.
"""

from gcbarrier.barriers import Barrier
from gcbarrier.model import MEMORY_TYPES

BARRIER = Barrier(
    needs=("async-uffd-wp", "pagemap-scan"),
    atomic=True,
    memories=MEMORY_TYPES,
    loses="a page of hugetlb that is dropped by MADV_DONTNEED after it was written, until it is touched again",
)
