"""The first protocol in Python alone: read bit 57 from pagemap, then protect again what was written."""

from collections.abc import Iterable

import numpy as np

from gcbarrier import Barrier
from gcbarrier.core.prototype import Memory
from gcbarrier.model import PAGE_BYTES
from gcbarrier.primitives import UFFD_WP_BIT, Pagemap, Userfaultfd

BARRIER = Barrier(needs=("async-uffd-wp",))


class Prototype:
    """Registers the heap, and asks the page tables."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.uffd, self.pagemap = memory, Userfaultfd(), Pagemap()
        self.uffd.register(memory.address, memory.size_bytes)

    def arm(self) -> None:
        """Protect every page: the kernel drops a page's bit at the first store."""
        self.uffd.protect(self.memory.address, self.memory.size_bytes)

    def collect(self, rearm: bool) -> Iterable[int]:
        """The pages that have lost their bit."""
        entries = self.pagemap.read(self.memory.address, self.memory.pages)
        written = np.flatnonzero((entries >> np.uint64(UFFD_WP_BIT) & np.uint64(1)) == 0)
        for page in written if rearm else ():
            self.uffd.protect(self.memory.address + int(page) * PAGE_BYTES, PAGE_BYTES)
        return written

    def close(self) -> None:
        """Give the heap up."""
        self.uffd.close()
        self.pagemap.close()
