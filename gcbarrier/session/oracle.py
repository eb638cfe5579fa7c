"""The truth about an invocation: what the oracle counted, and what the program reaches without any collection."""

import math
from pathlib import Path

from gcbarrier.core.heap import NO_BARRIER, Heap, Wanted
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import available_bytes, fits
from gcbarrier.model import Barrier, Verification
from gcbarrier.session.program import Program

_MIB = 1 << 20
_MOST_BYTES = 4 << 30
_PATIENCE_S = 600.0


def allocation_limit_bytes() -> int:
    """How much a verified invocation may allocate in all, so that the heap that is never collected can hold it."""
    return min(available_bytes() // 3, _MOST_BYTES)


def refuse_lost(counted: dict[str, int]) -> None:
    """Raises GcBarrierError where a page was written and not reported."""
    if counted["lost"]:
        raise GcBarrierError(
            f"the barrier lost {counted['lost']} of {counted['written']} written pages in {counted['cycles']} cycles"
        )


def verification(counted: dict[str, int], *, checksum: int, reference: int) -> Verification:
    """The oracle's counts as a record. Raises GcBarrierError where the checksums differ."""
    found = Verification(
        cycles_checked=counted["cycles"],
        objects_checked=counted["objects"],
        reported_granules=counted["reported"],
        written_granules=counted["written"],
        false_dirty_granules=counted["false_dirty"],
        lost_granules=counted["lost"],
        checksum_matches=checksum == reference,
    )
    if not found.checksum_matches:
        raise GcBarrierError(
            f"the mutators ended with checksum {checksum:#x}, and without any collection it is {reference:#x}: "
            "the collector changed what the program sees"
        )
    return found


def reference_checksum(
    program: Program,
    *,
    core: Path,
    library: Path | None,
    promises: Barrier = NO_BARRIER,
    memory: str,
    mutators: int,
    seed: int,
    operations: tuple[int, ...],
    allocated_bytes: int,
) -> int:
    """The checksum of the same operations in a heap that is large enough never to be collected.

    ``library`` is the compiled barrier of a program that has the barrier's store inlined; it is never armed.
    """
    size = allocated_bytes
    while True:
        # Blocks that threads hold at the end and gaps between large objects.
        size = math.ceil((size * 1.25 + mutators * _MIB) / _MIB) * _MIB
        fits(size)
        with Heap(size, core=core, library=library, promises=promises, memory=memory) as heap:
            heap.start(
                program.plugin.library,
                mutators=mutators,
                seed=seed,
                params=program.params,
                blob=program.blob,
                operations=operations,
            )
            wanted = heap.wait(_PATIENCE_S)
            if wanted is Wanted.BUILT:
                wanted = heap.wait(_PATIENCE_S)
            if wanted is Wanted.ENDED:
                return heap.join()
            if wanted is Wanted.NOTHING:
                raise GcBarrierError(f"the run without a collection did not end within {_PATIENCE_S:.0f} s")
