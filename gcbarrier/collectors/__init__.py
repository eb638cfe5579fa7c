"""Collectors: what is done about the writes a barrier noticed. One Python file each, which reads like pseudocode.

``x.py`` has a docstring, whose first line is its summary; ``collect(heap, params)``, one cycle in terms of the phases
of :class:`gcbarrier.core.heap.Heap`; ``Params``, a frozen attrs class that inherits :class:`Triggered` or
:class:`Marking`; and ``NEEDS_TRACKING``: whether it marks while mutators run, and so needs a barrier that tracks
(``NEEDS_SNAPSHOT``: one that reports what stores overwrite; with ``NEEDS_FORK`` too: one whose snapshot is a forked
child's). With ``NEVER_DUE`` no cycle begins but where memory runs out. Nothing needs to name them; where barrier and
collector don't fit, :mod:`gcbarrier.campaign.settings` names one that does.

``heap.note("rounds that stopped", 2)`` in ``collect`` records a number of the cycle. All of them are in the outcome's
``notes`` and in the run's ``notes.csv``, and the terminal's table has each name's median.

A collector that brings its own memory, another project's library, has ``RUNTIME``, a :class:`Runtime`, in place of
``collect``, and ``x.c`` and ``x.h`` beside it, for which ``native/include/runtime.h`` holds the contract. Its
``Params`` are constants ``GCB_PARAM_<field>`` in the C file, and inherit :class:`Timed`. The same mutators run
under it, over no barrier of ours.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import field, frozen, validators

from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features
from gcbarrier.model import Config
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters


@frozen(kw_only=True)
class Triggered:
    """What all collectors of the core's heap have; their ``Params`` inherit it."""

    trigger: float = field(default=0.5, validator=[validators.gt(0), validators.le(1)])
    """A cycle begins when this share of what the last one left free has been allocated; sooner, though not before a
    quarter of that, where the rest would not last for what mutators have allocated during one of the last cycles."""
    every_s: float = field(default=0.0, validator=validators.ge(0))
    """It also begins so many seconds after the last one ended; 0: only when memory asks for it."""

    def due_bytes(self, latest: int) -> int:
        """After how much allocation the next cycle begins: ``latest``, by the trigger, unless it is to be sooner."""
        return latest


@frozen(kw_only=True)
class Marking(Triggered):
    """What collectors have whose marking is the core's, in this process."""

    markers: int = field(default=1, validator=[validators.ge(1), validators.le(8)])
    """Threads that mark, concurrently and in pauses; beyond the first they only wake where there is much to do."""


@frozen(kw_only=True)
class Timed:
    """What collectors have that bring their own memory and know by themselves when to collect."""

    every_s: float = field(default=0.0, validator=validators.ge(0))
    """It is also made to collect everything so many seconds after it last was; 0: only when it likes."""


def _nothing() -> None:
    """There is nothing to look for."""


@frozen(kw_only=True)
class Runtime:
    """What a collector that brings its own memory is made of."""

    needs: tuple[str, ...] = ()
    """Of the kernel, by their names in :mod:`gcbarrier.machines.features`."""
    look: Callable[[], None] = _nothing
    """Looks for the library itself. Raises Unavailable, with reason and remedy, where it is not here."""
    libraries: tuple[str, ...] = ()
    """What its C file and the mutators are linked with, as in ``-lNAME``."""


@frozen(kw_only=True)
class Collector:
    """A collector as it was found."""

    name: str
    collect: Callable[[Any, Any], None] | None
    """None: it has a ``runtime``."""
    params: type[Any]
    needs_tracking: bool
    needs_snapshot: bool
    needs_fork: bool = False
    never_due: bool = False
    """No cycle begins but where memory runs out, and none is forced at the end."""
    runtime: Runtime | None = None

    @property
    def files(self) -> tuple[Path, Path]:
        """The runtime's C file, and the header with its allocation."""
        file = discovery.find("collectors", self.name)
        return file.with_suffix(".c"), file.with_suffix(".h")

    def require(self) -> None:
        """Raises Unavailable, with reason and remedy, where what its runtime is made of is not here."""
        if self.runtime is None:
            return
        for need in self.runtime.needs:
            tried = features.feature(need)
            if not tried.works:
                raise Unavailable(f"the collector {self.name}", tried.why, tried.remedy)
        self.runtime.look()


def lacking(names: Iterable[str]) -> dict[str, Unavailable]:
    """Those of the collectors that can't be had on this machine, and why."""
    found: dict[str, Unavailable] = {}
    for name in sorted(set(names)):
        try:
            find(name).require()
        except Unavailable as problem:
            found[name] = problem
    return found


def of(config: Config) -> Collector:
    """The collector of a configuration. Raises GcBarrierError as :func:`find` does."""
    return find(config.collector)


def params_of(config: Config) -> Any:
    """The parameters of its collector. Raises GcBarrierError where one is wrong."""
    with discovery.blamed("collectors", config.collector):
        return parameters.make(of(config).params, config.collector_params, f"the collector {config.collector}")


def compiled(config: Config) -> build.Plugin | None:
    """The runtime of a configuration's collector, compiled if need be; None where it has none.

    Raises Unavailable where it can't be had here.
    """
    collector = of(config)
    if collector.runtime is None:
        return None
    collector.require()
    return build.runtime(collector.files[0], parameters.c_defines(params_of(config)), collector.runtime.libraries)


def find(name: str) -> Collector:
    """The collector called ``name``. Raises GcBarrierError where its file lacks something."""
    module = discovery.module("collectors", name)
    collect, params = getattr(module, "collect", None), getattr(module, "Params", None)
    runtime = getattr(module, "RUNTIME", None)
    file = discovery.find("collectors", name)
    if isinstance(runtime, Runtime):
        missing = [each.name for suffix in (".c", ".h") if not (each := file.with_suffix(suffix)).is_file()]
        if missing:
            raise GcBarrierError(f"the collector {name!r} lacks its C files: write {' and '.join(missing)} beside it")
        if not isinstance(params, type) or not issubclass(params, Timed):
            raise GcBarrierError(f"the collector {name!r} is incomplete: {file} needs class Params(Timed)")
        parameters.of_plugin("collectors", name, params)
        return Collector(
            name=name, collect=None, params=params, needs_tracking=False, needs_snapshot=False, runtime=runtime
        )
    if not callable(collect) or not isinstance(params, type) or not issubclass(params, Triggered):
        lacking = "collect(heap, params) and class Params(Triggered)"
        raise GcBarrierError(f"the collector {name!r} is incomplete: {file} needs {lacking}")
    parameters.of_plugin("collectors", name, params)
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
