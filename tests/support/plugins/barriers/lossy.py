"""Wrong on purpose: asynchronous write-protection that forgets one reported page in a thousand."""

from gcbarrier.model import Barrier

BARRIER = Barrier(needs=("async-uffd-wp", "pagemap-scan"), atomic=True, loses="one written page in a thousand")
