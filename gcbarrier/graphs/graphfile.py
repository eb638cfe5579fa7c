"""The compact graph file: the shape of a heap, without its contents.

A graph is what a collector sees of a program: how large each object is, what it refers to, where the roots are and,
if the heap was had with that, at which address each object lay. The file is a compressed ``.npz`` that ``numpy.load``
opens anywhere. It stores out-degrees rather than offsets, because small numbers compress better and can't run
backwards; ``read`` sums them up again. Addresses are the one array that may be missing (``addresses.py`` says how they
are stored); versions that know nothing of them read such a file as one without.
"""

import contextlib
import json
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import addresses as placed
from gcbarrier.machines.cache import regular, travelled

SUFFIX = ".graph.npz"
FORMAT = "gcbarrier graph 1"

_ARRAYS = ("format", "source", "sizes_bytes", "out_degrees", "targets", "roots")
_STEPS = "address_steps"  # optional

# A size above this is a misread number, not an object; it also keeps sums of sizes far from overflow.
LARGEST_OBJECT_BYTES = 1 << 40


@attrs.frozen(kw_only=True)
class Source:
    """Where a graph comes from, in words; "" where nobody said.

    ``program`` and its ``version`` ran, ``tool`` (a runtime and its version) wrote the heap down, ``command`` captures
    another.
    """

    program: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    version: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    tool: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    command: str = attrs.field(default="", validator=attrs.validators.instance_of(str))


class GraphFault(GcBarrierError):  # noqa: N818 - named for what it is about
    """Arrays that are not an object graph; ``why`` is a clause that completes "because"."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"these arrays are not an object graph, because {why}; check what made them")

    def __reduce__(self) -> tuple[type["GraphFault"], tuple[str]]:
        # The default would put the finished sentence in the place of its clause.
        return (GraphFault, (self.why,))


@attrs.frozen(kw_only=True, eq=False)
class Graph:
    """An object graph of ``n`` nodes and ``m`` references. The arrays are checked when it is made, and read-only after.

    - ``sizes_bytes``: uint64[n], each object's own size in the program it comes from; 0 is allowed.
    - ``offsets``: uint64[n + 1]; node ``i`` refers to ``targets[offsets[i]:offsets[i + 1]]``, in the program's order.
    - ``targets``: uint32[m], node indices; an object that refers to another twice has it twice.
    - ``roots``: uint32[at least 1], node indices.
    - ``addresses``: uint64[n], the byte at which each object began there, so that its page is ``address // 4096``; no
      two alike and none 0, in any order, and overlapping objects are not refused (``addresses.py`` says why). None
      where the heap was had without.

    Raises ``GraphFault`` where the arrays don't make a graph.
    """

    sizes_bytes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.uint64]
    targets: npt.NDArray[np.uint32]
    roots: npt.NDArray[np.uint32]
    source: Source = Source()
    addresses: npt.NDArray[np.uint64] | None = None

    def __attrs_post_init__(self) -> None:
        if why := _fault(self):
            raise GraphFault(why)
        for array in (self.sizes_bytes, self.offsets, self.targets, self.roots, self.addresses):
            if array is not None:
                array.setflags(write=False)

    @property
    def node_count(self) -> int:
        """Number of objects."""
        return len(self.sizes_bytes)

    @property
    def edge_count(self) -> int:
        """Number of references."""
        return len(self.targets)

    @property
    def total_bytes(self) -> int:
        """Sum of all sizes, in bytes of the program it comes from."""
        return int(self.sizes_bytes.sum())

    def out_degrees(self) -> npt.NDArray[np.int64]:
        """References per node: int64[n]."""
        return np.diff(self.offsets).astype(np.int64)


def _fault(graph: Graph) -> str:
    """What is wrong with the arrays of ``graph``, or ""."""
    arrays = {"sizes_bytes": np.uint64, "offsets": np.uint64, "targets": np.uint32, "roots": np.uint32}
    for name, dtype in arrays.items():
        array = getattr(graph, name)
        if array.dtype != dtype or array.ndim != 1:
            return f"{name} is not a one-dimensional {np.dtype(dtype).name} array"
    nodes = graph.node_count
    if not 0 < nodes < 1 << 32:
        return f"it has {nodes} objects, and at least one and fewer than 2^32 are needed"
    if len(graph.offsets) != nodes + 1:
        return f"it has sizes of {nodes} objects but out-degrees of {len(graph.offsets) - 1}"
    if graph.offsets[0] != 0 or graph.offsets[-1] != graph.edge_count:
        return f"the out-degrees add up to {graph.offsets[-1]}, but there are {graph.edge_count} references"
    if (graph.offsets[1:] < graph.offsets[:-1]).any():
        return "the offsets run backwards"
    if graph.sizes_bytes.max() > LARGEST_OBJECT_BYTES:
        return f"it has an object of {graph.sizes_bytes.max()} bytes"
    for name in ("targets", "roots"):
        array = getattr(graph, name)
        if len(array) and array.max() >= nodes:
            return f"{name} name object {array.max()}, and the last one is {nodes - 1}"
    if not len(graph.roots):
        return "it has no roots"
    return "" if graph.addresses is None else placed.fault(graph.addresses, graph.sizes_bytes)


def save(path: Path, graph: Graph) -> None:
    """Write ``graph`` to ``path``, whole or not at all: a file that was there stays until the new one is complete.

    Raises ``GcBarrierError`` where it can't be written.
    """
    if path.exists() and not path.is_file():  # renaming over a device would take its place
        raise GcBarrierError(
            f"the graph file {path} can't be written: a folder or device has that name; choose another"
        )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    largest = int(graph.sizes_bytes.max())
    arrays: dict[str, npt.NDArray[Any]] = {
        "format": np.array(FORMAT),
        "source": np.array(json.dumps(attrs.asdict(graph.source))),
        "sizes_bytes": graph.sizes_bytes.astype(np.min_scalar_type(largest)),
        "out_degrees": graph.out_degrees().astype(np.uint32),
        "targets": graph.targets,
        "roots": graph.roots,
    }
    if graph.addresses is not None:
        arrays[_STEPS] = placed.packed(graph.addresses)
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(path)
    except OSError as error:
        raise GcBarrierError(
            f"the graph file {path} can't be written: {error.strerror or _one_line(error)}; name another place for it"
        ) from error
    finally:
        # Gone already where all went well. Where not, the disk may be full, and Ctrl-C leaves nothing behind either.
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def read(path: Path) -> Graph:
    """Read a graph file and check all of it.

    Raises ``GcBarrierError`` where ``path`` is missing, unreadable, damaged or something else than a graph file.
    """
    remedy = "make one with `gcbarrier import SNAPSHOT`"
    try:
        return _graph(_arrays(path))
    except _Unfit as error:
        raise GcBarrierError(f"{path} is not a usable graph file: {error}; {remedy}") from error
    except OSError as error:
        why = error.strerror or _one_line(error)
        raise GcBarrierError(f"the graph file {path} can't be read: {why}; check the path or {remedy}") from error
    except MemoryError as error:
        raise GcBarrierError(f"the graph file {path} does not fit in memory; use a smaller graph") from error
    except Exception as error:
        # zipfile, zlib and numpy's header parser each have their own exceptions for damaged bytes, a dozen in all.
        raise GcBarrierError(f"{path} is damaged or not a graph file ({_one_line(error)}); {remedy}") from error


class _Unfit(Exception):  # noqa: N818 - not an error of its own: the reason in the middle of one
    """Why the contents of a file are no graph: a clause, for ``read`` to make a sentence of."""


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    # Given the path itself, numpy would leave the file open where it turns out to be no archive.
    with regular(travelled(path)).open("rb") as file, warnings.catch_warnings():
        # numpy only warns of headers that Python 2 wrote; no version of ours did.
        warnings.filterwarnings("error", message="Reading `.npy` or `.npz` file")
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
            raise _Unfit("it holds one bare array")
        missing = set(_ARRAYS) - set(archive.files)
        if missing:
            raise _Unfit(f"it has no array named {min(missing)!r}")
        names = [*_ARRAYS, *({_STEPS} & set(archive.files))]
        _refuse_promises(archive.zip, names)
        if str(archive["format"]) != FORMAT:
            raise _Unfit(f"its format is {str(archive['format'])[:40]!r}, and this version reads {FORMAT!r}")
        return {name: archive[name] for name in names}


def _refuse_promises(archive: zipfile.ZipFile, names: list[str]) -> None:
    """numpy asks for the memory that an array's header promises before it reads the array."""
    for name in names:
        member = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        promised = math.prod(shape) * dtype.itemsize
        # The second is the most that deflation makes of a byte.
        if promised > member.file_size or member.file_size > 1032 * member.compress_size:
            raise _Unfit(f"{name!r} promises {promised} bytes, and there are fewer")


def _graph(arrays: dict[str, npt.NDArray[Any]]) -> Graph:
    for name in ("sizes_bytes", "out_degrees", "targets", "roots"):
        if arrays[name].dtype.kind != "u" or arrays[name].ndim != 1:
            raise _Unfit(f"{name!r} is not a list of unsigned integers")
    for name in ("out_degrees", "targets", "roots"):
        if arrays[name].dtype.itemsize > 4:
            raise _Unfit(f"{name!r} has numbers of more than 32 bits")
    steps = arrays.get(_STEPS)
    if steps is not None and (steps.dtype != np.uint8 or steps.ndim != 2 or len(steps) > 8):
        raise _Unfit(f"{_STEPS!r} is not a table of up to 8 bytes for each object")
    if steps is not None and steps.shape[1] != len(arrays["sizes_bytes"]):
        raise _Unfit(f"it has sizes of {len(arrays['sizes_bytes'])} objects but addresses of {steps.shape[1]}")
    offsets = np.zeros(len(arrays["out_degrees"]) + 1, dtype=np.uint64)
    np.cumsum(arrays["out_degrees"], dtype=np.uint64, out=offsets[1:])
    source = json.loads(str(arrays["source"]))
    if not isinstance(source, dict):
        raise _Unfit("its 'source' is not a record")
    try:
        return Graph(
            sizes_bytes=arrays["sizes_bytes"].astype(np.uint64),
            offsets=offsets,
            targets=arrays["targets"].astype(np.uint32),
            roots=arrays["roots"].astype(np.uint32),
            source=Source(**source),
            addresses=None if steps is None else placed.unpacked(steps),
        )
    except GraphFault as fault:
        raise _Unfit(fault.why) from fault


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 80 else text[:77] + "..."
