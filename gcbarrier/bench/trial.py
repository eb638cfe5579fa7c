"""Does a barrier work here? Found out by doing it, on memory of its own."""

import numpy as np

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked

# Two huge pages: where a view of the memory gets them, tracking must still be exact.
_PAGES = 1024
_MEMORY_NEEDS = {"hugetlb": ("hugetlb",)}
_WRITTEN = np.arange(17) * 37 % _PAGES


def try_out(name: str, plugin: build.Plugin | None = None, memory: str = "shmem") -> int:
    """Write known pages and demand them back, twice: the second time shows that re-arming works.

    Returns how many granules were reported too many. Raises Unavailable, with the reason and the remedy, where this
    machine lacks what the barrier or its memory needs; GcBarrierError where it has all that and the barrier does not
    work. ``plugin`` is the compiled barrier where there is no compiler. A barrier that notices ``gcb_store()`` alone
    needs nothing of the kernel and is not tried.
    """
    chosen = barriers.choose(name)
    chosen.require(*_MEMORY_NEEDS.get(memory, ()))
    if not chosen.promises.tracks or chosen.promises.snapshot or chosen.store_header is not None:
        return 0
    # Whatever the compiler says of it is no matter of what the kernel has.
    plugin = plugin or chosen.compile()
    try:
        with Tracked(_PAGES * PAGE_BYTES, name, memory=memory, plugin=plugin) as scratch:
            return _surplus(scratch)
    except Unavailable:
        raise
    except GcBarrierError as problem:
        raise GcBarrierError(
            f"the barrier {name} does not work on {memory} memory, though all is here that it needs: {problem}; "
            "mend it, or name in its `needs` what else it wants of the kernel"
        ) from problem


def _surplus(scratch: Tracked) -> int:
    scratch.arm()
    surplus = 0
    for pages, rearm, when in ((_WRITTEN, True, "after it was armed"), (_WRITTEN[3:4], False, "after it was re-armed")):
        for page in pages:
            scratch.view[int(page) * PAGE_BYTES] = 1
        expected = np.unique(pages * PAGE_BYTES // scratch.granule_bytes)
        reported = scratch.collect(rearm=rearm)
        if not np.isin(expected, reported).all():
            raise GcBarrierError(f"a page written {when} was not reported: the calls succeed and nothing is tracked")
        surplus += len(reported) - len(expected)
    return surplus
