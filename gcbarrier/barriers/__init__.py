"""Barriers: how the collector learns which memory mutators have written. One Python and one C file each.

``x.py`` has a docstring, whose first line is its summary, and ``BARRIER``, a :class:`gcbarrier.model.Barrier`: what it
promises and needs. ``x.c`` beside it defines ``GCB_BARRIER``; ``native/barrier.h`` holds the contract. Nothing else
names them.
"""

from pathlib import Path

from gcbarrier import build, discovery, features
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.model import Barrier


def load(name: str) -> Barrier:
    """What the barrier called ``name`` promises. Raises GcBarrierError where it has no :class:`Barrier` to tell."""
    found = getattr(discovery.load("barriers", name), "BARRIER", None)
    if not isinstance(found, Barrier):
        file = discovery.find("barriers", name)
        raise GcBarrierError(f"the barrier {name!r} promises nothing: {file} needs BARRIER = Barrier(...)")
    return found


def source(name: str) -> Path:
    """The barrier's C file."""
    return discovery.find("barriers", name).with_suffix(".c")


def probe(name: str, plugin: build.Plugin | None = None) -> int:
    """Try the barrier here: write known pages of a scratch heap and demand exactly those back.

    Returns how many pages it reported too many. Raises Unavailable with the reason and the remedy. ``plugin`` is the
    compiled barrier where there is no compiler.
    """
    for need in load(name).needs:
        tried = features.feature(need)
        if not tried.works:
            raise Unavailable(f"the barrier {name}", tried.why, tried.remedy)
    plugin = plugin or build.barrier(source(name))
    module = build.load(plugin.core)
    operations = module.ffi.new("const gcb_barrier_ops **")
    if module.lib.gcb_load_barrier(str(plugin.library).encode(), operations):
        raise GcBarrierError(f"the barrier {name} can't be loaded: {build.last_error(module)}")
    surplus = int(module.lib.gcb_probe(operations[0]))
    if surplus < 0:
        raise Unavailable(f"the barrier {name}", build.last_error(module))
    return surplus


__all__ = ["Barrier", "load", "probe", "source"]
