"""The Boehm-Demers-Weiser collector, from the distribution: stop-the-world, or generational over dirty bits of its own.

It allocates, marks and sweeps in its own memory, of the heap's size from the beginning and never more; the mutators are
the same. It collects when it finds that enough has been allocated, in the thread that allocates. Its pauses, as its own
events tell them, are of the kind ``remark`` where it looked at what is new and what was written since its last
collection, and ``full`` otherwise. Where its dirty bits come from, the results say (``vdb``): a protected page's
SIGSEGV, or soft-dirty.
"""

import ctypes

from attrs import field, frozen, validators

from gcbarrier.collectors import Runtime, Timed
from gcbarrier.core.build import has_header
from gcbarrier.errors import Unavailable

_WHAT = "the collector bdwgc"
_LIBRARY, _MAJOR = "libgc.so.1", 8
_REMEDY = "have root run `apt install libgc-dev`"


def _look() -> None:
    """Load the library, ask its version, and let the compiler look for its header."""
    try:
        version: int = ctypes.CDLL(_LIBRARY).GC_get_version()
    except OSError as problem:
        raise Unavailable(_WHAT, f"the Boehm collector's library is not installed ({problem})", _REMEDY) from problem
    if version >> 16 < _MAJOR:
        old = f"the Boehm collector installed here is of version {version >> 16}"
        raise Unavailable(_WHAT, old, f"{_REMEDY} of Debian 12 on")
    try:
        found = has_header("gc/gc.h")
    except Unavailable as problem:
        raise Unavailable(_WHAT, f"it needs {problem.what}: {problem.why}", problem.remedy) from problem
    if not found:
        raise Unavailable(_WHAT, "the Boehm collector's header gc/gc.h is not installed", _REMEDY)


RUNTIME = Runtime(look=_look, libraries=("gc",))


@frozen(kw_only=True)
class Params(Timed):
    """What its public interface can set, and its mark stack."""

    incremental: bool = True
    """Generational. Without time limits: no mutator marks in slices, which would be pauses that it does not tell of."""
    markers: int = field(default=1, validator=[validators.ge(0), validators.le(16)])
    """Threads that mark, the one that collects among them; 0: as many as there are processors, its own default."""
    full_every: int = field(default=20, validator=[validators.ge(1), validators.le(1 << 20)])
    """With ``incremental`` one in so many collections looks at everything: its own default."""
    mark_stack: int = field(default=0, validator=[validators.ge(0), validators.le(1 << 26)])
    """Entries that its mark stack is made to have before the clock starts. No call of its interface asks for that: it
    doubles the stack after a collection in which it was full, so a graph that fills it is built, collected and dropped.
    0: left to itself, which takes about ten collections of a large graph, each many times as long as it need be."""
    free_space_divisor: int = field(default=3, validator=[validators.ge(1), validators.le(1 << 10)])
    """It collects when twice the live bytes over this have been allocated (half of that with ``incremental``)."""
