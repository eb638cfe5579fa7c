"""Heaps as they are found (``heaps/x/heap.py`` and ``mutator.c``) and made ready to run.

``heap.py`` has a docstring, whose first line is its summary, and a frozen attrs class ``Params``. It may have::

    def resolve(params, *, heap_bytes, mutators) -> Params     # automatic values made concrete; C sees only these
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
from gcbarrier.model import Config
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters


@attrs.frozen(kw_only=True)
class Program:
    """A heap's mutator program for one configuration, compiled."""

    plugin: build.Plugin
    params: bytes
    blob: bytes = attrs.field(repr=False)


def load(name: str) -> ModuleType:
    """The heap's module. Raises GcBarrierError where it has no ``Params``."""
    module = discovery.load("heaps", name)
    cls = getattr(module, "Params", None)
    if not isinstance(cls, type) or not attrs.has(cls):
        file = discovery.find("heaps", name)
        raise GcBarrierError(f"the heap {name!r} has no parameters: {file} needs an attrs class Params")
    return module


def resolved(config: Config) -> Any:
    """The parameters that ``config`` comes to. Raises GcBarrierError where they are wrong or don't fit the heap."""
    module = load(config.heap)
    given = parameters.make(module.Params, config.heap_params, f"the heap {config.heap}")
    size = {"heap_bytes": config.heap_bytes, "mutators": config.mutators}
    with discovery.blamed("heaps", config.heap):
        concrete = module.resolve(given, **size) if hasattr(module, "resolve") else given
        if hasattr(module, "check"):
            module.check(concrete, **size)
    return concrete


def prepare(config: Config, *, ours: bool = False) -> Program:
    """Compile the program and make its data. Raises GcBarrierError as :func:`resolved` and the compiler do.

    ``ours``: for a heap of ours even where the configuration's collector brings its own memory.
    """
    module = load(config.heap)
    concrete = resolved(config)
    data = b""
    if hasattr(module, "blob"):
        with discovery.blamed("heaps", config.heap):
            data = _bytes(module.blob(concrete, heap_bytes=config.heap_bytes, mutators=config.mutators))
    header = parameters.c_header(module.Params)
    source = discovery.find("heaps", config.heap).with_name("mutator.c")
    barrier = barriers.of(config)
    collector = collectors.of(config)
    if collector.runtime is None:
        plugin = build.mutator(
            source,
            header,
            verify=config.verify,
            timed=config.timed,
            store_header=barrier.store_header,
            defines=barrier.defines,
        )
    elif ours:
        plugin = build.mutator(source, header, verify=False)
    else:
        collector.require()
        libraries = collector.runtime.libraries
        plugin = build.mutator(source, header, verify=False, runtime=collector.files[1], libraries=libraries)
    return Program(plugin=plugin, params=parameters.pack(concrete), blob=data)


def folder(name: str) -> Path:
    """The heap's folder."""
    return discovery.find("heaps", name).parent


def _bytes(data: Any) -> bytes:
    return np.ascontiguousarray(data).tobytes() if isinstance(data, np.ndarray) else bytes(data)
