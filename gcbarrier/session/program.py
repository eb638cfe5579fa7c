"""Heaps as they are found (``heaps/x/heap.py`` and ``mutator.c``) and made ready to run.

``heap.py`` has a docstring, whose first line is its summary, and a frozen attrs class ``Params``. It may have::

    def resolve(params, *, heap_bytes, mutators) -> Params     # automatic values made concrete; C sees only these
                                                               # and what is concrete stays, in a heap of any size
    def check(params, *, heap_bytes, mutators) -> None         # GcBarrierError where that can't be run
    def blob(params, *, heap_bytes, mutators) -> bytes         # data for gcb_build(), as bytes or a numpy array

``mutator.c`` includes ``gcbarrier.h`` and the generated ``gcb_params.h``, whose ``gcb_params`` mirrors ``Params``.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np

from gcbarrier import barriers, collectors
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters


@attrs.frozen(kw_only=True)
class Program:
    """A heap's mutator program for one configuration, compiled."""

    plugin: build.Plugin
    params: bytes
    blob: bytes = attrs.field(repr=False)


def heap_module(name: str) -> ModuleType:
    """The heap's module. Raises GcBarrierError where it has no ``Params``."""
    module = discovery.module("heaps", name)
    cls = getattr(module, "Params", None)
    if not isinstance(cls, type) or not attrs.has(cls):
        file = discovery.find("heaps", name)
        raise GcBarrierError(f"the heap {name!r} has no parameters: {file} needs an attrs class Params")
    parameters.of_plugin("heaps", name, cls)
    return module


def resolved(config: Config) -> Any:
    """The parameters that ``config`` comes to. Raises GcBarrierError where they are wrong or don't fit the heap."""
    module = heap_module(config.heap)
    size = {"heap_bytes": config.heap_bytes, "mutators": config.mutators}
    with discovery.blamed("heaps", config.heap):
        given = parameters.make(module.Params, config.heap_params, f"the heap {config.heap}")
        concrete = module.resolve(given, **size) if hasattr(module, "resolve") else given
        if not isinstance(concrete, module.Params):
            what = f"resolve() must return Params, not {concrete!r:.40}"
            raise discovery.misshapen("heaps", config.heap, what, "resolve")
        parameters.fitting("heaps", config.heap, concrete, "resolve():", "resolve")
        # Of a multiple of the smallest heap it is known that the program runs in it: that was found by running.
        if hasattr(module, "check") and not config.minheap_bytes:
            module.check(concrete, **size)
    return concrete


def fixed(config: Config) -> Config:
    """The configuration with its heap's automatic parameters made concrete: the same program in a heap of any size.

    Raises GcBarrierError as :func:`resolved` does.
    """
    concrete, plain = resolved(config), heap_module(config.heap).Params()
    values = {each.name: getattr(concrete, each.name) for each in attrs.fields(type(concrete))}
    told = {name: value for name, value in values.items() if value != getattr(plain, name)}
    return evolve(config, heap_params={**config.heap_params, **told})


def prepare(config: Config, *, ours: bool = False) -> Program:
    """Compile the program and make its data. Raises GcBarrierError as :func:`resolved` and the compiler do.

    ``ours``: for a heap of ours even where the configuration's collector brings its own memory.
    """
    module = heap_module(config.heap)
    concrete = resolved(config)
    data = b""
    if hasattr(module, "blob"):
        with discovery.blamed("heaps", config.heap):
            data = _bytes(module.blob(concrete, heap_bytes=config.heap_bytes, mutators=config.mutators))
    return Program(plugin=compile(config, ours=ours), params=parameters.pack(concrete), blob=data)


def compile(config: Config, *, ours: bool = False) -> build.Plugin:
    """Compile the program. Raises GcBarrierError as the compiler does; ``ours`` as in :func:`prepare`."""
    header = parameters.c_header(heap_module(config.heap).Params)
    source = discovery.find("heaps", config.heap).with_name("mutator.c")
    barrier = barriers.of(config)
    collector = collectors.of(config)
    if collector.runtime is None:
        return build.mutator(
            source,
            header,
            verify=config.verify,
            timed=config.timed,
            stressed=config.stress > 0,
            store_header=barrier.store_header,
            defines=barrier.defines,
        )
    if ours:
        return build.mutator(source, header, verify=False)
    collector.require()
    libraries = collector.runtime.libraries
    return build.mutator(source, header, verify=False, runtime=collector.files[1], libraries=libraries)


def folder(name: str) -> Path:
    """The heap's folder."""
    return discovery.find("heaps", name).parent


def _bytes(data: Any) -> bytes:
    return np.ascontiguousarray(data).tobytes() if isinstance(data, np.ndarray) else bytes(data)
