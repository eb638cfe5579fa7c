"""Collectors: what is done about the writes a barrier noticed. One Python file each, which reads like pseudocode.

``x.py`` has a docstring, whose first line is its summary; ``collect(heap, params)``, one cycle in terms of the phases
of :class:`gcbarrier.heap.Heap`; ``Params``, a frozen attrs class that inherits :class:`Triggered` or
:class:`Marking`; and
``NEEDS_TRACKING``: whether it marks while mutators run, and so needs a barrier that tracks (``NEEDS_SNAPSHOT``: one
that reports what stores overwrite; with ``NEEDS_FORK`` too: one whose snapshot is a forked child's). With
``NEVER_DUE`` no cycle begins but where memory runs out. Nothing else names them.
"""

from collections.abc import Callable
from typing import Any

from attrs import field, frozen, validators

from gcbarrier import discovery
from gcbarrier.errors import GcBarrierError


@frozen(kw_only=True)
class Triggered:
    """The parameter that every collector has; their ``Params`` inherit it."""

    trigger: float = field(default=0.5, validator=[validators.gt(0), validators.le(1)])
    """A cycle begins when this share of what the last one left free has been allocated."""
    every_s: float = field(default=0.0, validator=validators.ge(0))
    """It also begins so many seconds after the last one ended; 0: only when memory asks for it."""


@frozen(kw_only=True)
class Marking(Triggered):
    """What collectors have whose marking is the core's, in this process."""

    markers: int = field(default=1, validator=[validators.ge(1), validators.le(8)])
    """Threads that mark, concurrently and in pauses; beyond the first they only wake where there is much to do."""


@frozen(kw_only=True)
class Collector:
    """A collector as it was found."""

    name: str
    collect: Callable[[Any, Any], None]
    params: type[Any]
    needs_tracking: bool
    needs_snapshot: bool
    needs_fork: bool = False
    never_due: bool = False
    """No cycle begins but where memory runs out, and none is forced at the end."""


def load(name: str) -> Collector:
    """The collector called ``name``. Raises GcBarrierError where its file lacks something."""
    module = discovery.load("collectors", name)
    collect, params = getattr(module, "collect", None), getattr(module, "Params", None)
    if not callable(collect) or not isinstance(params, type) or not issubclass(params, Triggered):
        file = discovery.find("collectors", name)
        lacking = "collect(heap, params) and class Params(Triggered)"
        raise GcBarrierError(f"the collector {name!r} is incomplete: {file} needs {lacking}")
    needs_tracking = bool(getattr(module, "NEEDS_TRACKING", True))
    needs_snapshot = bool(getattr(module, "NEEDS_SNAPSHOT", False))
    return Collector(
        name=name,
        collect=collect,
        params=params,
        needs_tracking=needs_tracking,
        needs_snapshot=needs_snapshot,
        needs_fork=bool(getattr(module, "NEEDS_FORK", False)),
        never_due=bool(getattr(module, "NEVER_DUE", False)),
    )
