"""Barriers: how the collector learns which memory mutators have written. One Python and one C file each.

``x.py`` has a docstring, whose first line is its summary, and ``BARRIER``, a :class:`gcbarrier.model.Barrier`: what it
promises and needs. ``x.c`` beside it defines ``GCB_BARRIER``; ``native/include/barrier.h`` holds the contract. What
both say (``tracks``, ``snapshot``, ``fork``) is compared when the barrier is loaded.

It may have ``Params``, a frozen attrs class: its numbers are constants ``GCB_PARAM_<field>`` in the C files, and
``BARRIER`` may then be a function of them. A software barrier brings a third file, ``x.h``, with what ``gcb_store()``
does beside storing (``native/include/gcbarrier.h`` says how). A file without C, but with a class ``Prototype``, is a
prototype (:mod:`gcbarrier.core.prototype`).

Nothing needs to name them. A few are named all the same: ``none`` is the baseline of :mod:`gcbarrier.results.cells` and
what a collector with memory of its own runs over; ``uffd-wp-async`` is the default of :mod:`gcbarrier.tracked` and
:mod:`gcbarrier.write_watch`, and :mod:`gcbarrier.bench.costs` has its system calls written out; and those that are most
often compared have their colours in :mod:`gcbarrier.report.looks`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features
from gcbarrier.model import Barrier, Config, Scalar
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters


@frozen(kw_only=True)
class Chosen:
    """A barrier with its parameters decided."""

    name: str
    promises: Barrier
    source: Path
    store_header: Path | None
    """The header with its inline store; None: a plain store."""
    defines: tuple[str, ...]
    prototype: Callable[[Any], Any] | None = None
    """The class of a barrier in Python alone (:mod:`gcbarrier.core.prototype`)."""

    def compile(self) -> build.Plugin:
        """Its C file, compiled if need be."""
        return build.barrier(self.source, self.defines)

    def require(self, *further: str) -> None:
        """Raises Unavailable, with reason and remedy, where a feature that it needs, or a further one, is not here."""
        for need in (*self.promises.needs, *further):
            tried = features.feature(need)
            if not tried.works:
                raise Unavailable(f"the barrier {self.name}", tried.why, tried.remedy)

    def require_memory(self, memory: str) -> None:
        """Raises Unavailable for memory (:data:`gcbarrier.model.MEMORY_TYPES`) that it can't watch."""
        if memory not in self.promises.memories:
            can = ", ".join(self.promises.memories)
            what = f"the barrier {self.name} on {memory} memory"
            raise Unavailable(what, f"it can watch {can} only", "choose another barrier or memory")


def choose(name: str, given: Mapping[str, Scalar] | None = None) -> Chosen:
    """The barrier called ``name`` with these parameters. Raises GcBarrierError where they or its file are wrong."""
    module = discovery.module("barriers", name)
    file = discovery.find("barriers", name)
    promises = getattr(module, "BARRIER", None)
    with discovery.blamed("barriers", name):
        made = parameters.make(params_of(name), given or {}, f"the barrier {name}")
        defines = parameters.c_defines(made)
        if callable(promises):
            promises = promises(made)
    if not isinstance(promises, Barrier):
        raise GcBarrierError(f"the barrier {name!r} promises nothing: {file} needs BARRIER = Barrier(...)")
    source, store = file.with_suffix(".c"), file.with_suffix(".h")
    prototype = None if source.is_file() else module.Prototype
    return Chosen(
        name=name,
        promises=promises,
        source=Path(__file__).with_name("_prototype.c") if prototype else source,
        store_header=store if store.is_file() else None,
        defines=defines,
        prototype=prototype,
    )


def of(config: Config) -> Chosen:
    """The barrier of a configuration. Raises GcBarrierError as :func:`choose` does."""
    return choose(config.barrier, config.barrier_params)


def promises_of(name: str) -> Barrier:
    """What the barrier called ``name`` promises, with its parameters at their defaults."""
    return choose(name).promises


def params_of(name: str) -> type[Any]:
    """The class of its parameters."""
    return parameters.of_plugin(
        "barriers", name, getattr(discovery.module("barriers", name), "Params", parameters.NoParams)
    )


__all__ = ["Barrier", "Chosen", "choose", "of", "params_of", "promises_of"]
