"""The file of a recording, ``NAME.pages``: an ``.npz`` that ``numpy.load`` opens, format ``gcbarrier pages 1``.

``recording`` is a JSON text in an array: ``format``, ``command``, ``every_ns``, ``tracker``, ``facts``, ``notes``,
``slowdowns`` and ``traces``, with the fields of the records in ``records``. Trace N has besides:

- ``N.ticks``: int64[ticks, 7]; columns ``begin_ns``, ``end_ns``, ``collect_ns``, ``cpu_ns``, ``faults``, the number of
  runs, and the number of the chunk that holds them;
- ``N.initial.gaps``, ``N.initial.lengths``: the pages written before watching began, as in a chunk of one tick;
- ``N.K.gaps``, ``N.K.lengths`` of chunk K: uint8 arrays. A tick's pages are runs of page numbers (address divided by
  ``page_bytes``) that ascend; ``gaps`` has the distance of each from the end of the one before it (of a tick's first:
  from 0), ``lengths`` its number of pages; both as LEB128, ticks behind one another.

A million pages of which a tenth is written at random in each of 1,000 ticks take tens of MB; real programs, which write
in runs and write the same pages again, take a hundredth of that.
"""

import array as packed
import contextlib
import io
import json
import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Facts
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular, travelled
from gcbarrier.page_traces.coding import CodingFault, Runs, encoded, merged
from gcbarrier.page_traces.kept import Chunk, KeptRuns
from gcbarrier.page_traces.records import COLUMNS, Mapping, PageTrace, Recording, Slowdown

SUFFIX = ".pages"
FORMAT = "gcbarrier pages 1"

_CHUNK_BYTES = 1 << 20
_CHUNK_TICKS = 1024
_EMPTY: Runs = np.empty((0, 2), dtype=np.uint64)
_REMEDY = "make one with `gcbarrier record -- COMMAND`"
_ZIP = b"PK"
"""What a recording begins with: it is a ZIP archive."""


class Writer:
    """Writes a recording while it is made: pages go to the file as they come, 56 bytes a tick stay in memory.

    The file appears whole when ``close`` is called; a context that is left by an exception leaves none behind.
    Raises ``GcBarrierError`` where it can't be written, or a file of that name is no recording.
    """

    def __init__(
        self, path: Path, *, command: Sequence[str], every_ns: int, tracker: str, facts: Facts[str, str]
    ) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "command": list(command),
            "every_ns": every_ns,
            "tracker": tracker,
            "facts": dict(facts),
        }
        self._traces: list[_Trace] = []
        if path.exists() and not path.is_file():
            raise GcBarrierError(f"{path} can't be written: a folder or device has that name; choose another")
        with self._writing():
            check_place(path)
            self._archive = zipfile.ZipFile(self._unfinished, "w", zipfile.ZIP_DEFLATED)

    def begin(
        self,
        *,
        pid: int,
        parent_pid: int | None,
        began: str,
        command: Sequence[str],
        initial: Runs = _EMPTY,
        page_bytes: int = 4096,
    ) -> int:
        """A process is watched from now on; ``initial``: addresses as ``tick`` takes them. The trace's number."""
        head = {
            "pid": pid,
            "parent_pid": parent_pid,
            "began": began,
            "command": list(command),
            "page_bytes": page_bytes,
        }
        number = len(self._traces)
        self._traces.append(_Trace(head))
        for name, array in zip(("gaps", "lengths"), encoded(_pages(initial, page_bytes)), strict=True):
            self._add(f"{number}.initial.{name}", array)
        return number

    def tick(
        self, number: int, *, begin_ns: int, end_ns: int, collect_ns: int, cpu_ns: int, faults: int, runs: Runs
    ) -> None:
        """What trace ``number`` wrote: ``runs`` is uint64[n, 2], first byte and the byte behind the last, ascending."""
        trace = self._traces[number]
        pages = _pages(runs, trace.head["page_bytes"])
        trace.add((begin_ns, end_ns, collect_ns, cpu_ns, faults, len(pages)), pages)
        if trace.full:
            self._flush(number)

    def end(self, number: int, *, ended: str, mappings: Sequence[Mapping]) -> None:
        """A process is watched no longer."""
        self._flush(number)
        trace = self._traces[number]
        trace.head |= {"ended": ended, "mappings": [attrs.astuple(each) for each in mappings]}
        self._add(f"{number}.ticks", np.frombuffer(trace.rows, dtype=np.int64).reshape(-1, len(COLUMNS) + 2))
        trace.rows = packed.array("q")

    def close(self, *, notes: Sequence[str] = (), slowdowns: Sequence[Slowdown] = ()) -> None:
        """Write what is left, and give the file its name. Traces that have not ended are ``still running``."""
        for number, trace in enumerate(self._traces):
            if "ended" not in trace.head:
                self.end(number, ended="still running", mappings=())
        self._head |= {
            "notes": list(notes),
            "slowdowns": [attrs.asdict(each) for each in slowdowns],
            "traces": [trace.head for trace in self._traces],
        }
        self._add("recording", np.array(json.dumps(self._head)))
        with self._writing():
            self._archive.close()
            self._unfinished.replace(self._path)

    def abort(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError, ValueError):
            self._archive.close()
        with contextlib.suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()

    def _flush(self, number: int) -> None:
        trace = self._traces[number]
        for name, parts in (("gaps", trace.gaps), ("lengths", trace.lengths)):
            if parts:
                self._add(f"{number}.{trace.chunk}.{name}", np.concatenate(parts))
        trace.next_chunk()

    def _add(self, name: str, array: npt.NDArray[Any]) -> None:
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        with self._writing():
            self._archive.writestr(f"{name}.npy", content.getbuffer())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GcBarrierError(
                f"the recording {self._path} can't be written: {error.strerror or error}; name another place for it"
            ) from error


class _Trace:
    """What of a trace is not in the file yet."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.head = head
        self.rows = packed.array("q")  # COLUMNS and two more each, as ``ticks`` in the file has them
        self.chunk = 0
        self.next_chunk(0)

    def next_chunk(self, by: int = 1) -> None:
        self.chunk += by
        self.gaps: list[npt.NDArray[np.uint8]] = []
        self.lengths: list[npt.NDArray[np.uint8]] = []
        self._bytes = 0

    def add(self, row: tuple[int, ...], pages: Runs) -> None:
        self.rows.extend((*row, self.chunk))
        for parts, array in zip((self.gaps, self.lengths), encoded(pages), strict=True):
            parts.append(array)
            self._bytes += len(array)

    @property
    def full(self) -> bool:
        return self._bytes >= _CHUNK_BYTES or len(self.gaps) >= _CHUNK_TICKS


def check_place(path: Path) -> None:
    """Raises GcBarrierError where a file of that name is no recording, and OSError where that can't be read."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_ZIP)) not in (b"", _ZIP):
                raise GcBarrierError(f"{path} is no recording and would be replaced: choose another name")


def _pages(runs: Runs, page_bytes: int) -> Runs:
    """Runs of addresses as page numbers and counts, those that touch made one."""
    first = runs[:, 0] // np.uint64(page_bytes)
    return merged(
        [
            np.stack([first, -(-runs[:, 1].astype(np.int64) // page_bytes) - first.astype(np.int64)], axis=1).astype(
                np.uint64
            )
        ]
    )


def read(path: Path) -> Recording:
    """Read a recording and check all of it; what was written stays compressed in memory.

    Raises ``GcBarrierError`` where ``path`` is missing, unreadable, damaged or something else than a recording.
    """
    try:
        with regular(travelled(path)).open("rb") as file, zipfile.ZipFile(file) as archive:
            return _recording(archive)
    except (_Unfit, CodingFault) as error:
        raise GcBarrierError(f"{path} is not a usable recording: {error}; {_REMEDY}") from error
    except OSError as error:
        why = error.strerror or _one_line(error)
        raise GcBarrierError(f"the recording {path} can't be read: {why}; check the path or {_REMEDY}") from error
    except MemoryError as error:
        raise GcBarrierError(f"the recording {path} does not fit in memory; record for a shorter time") from error
    except Exception as error:
        # zipfile, zlib, json, attrs and numpy's header parser each have their own exceptions for damaged bytes.
        raise GcBarrierError(f"{path} is damaged or not a recording ({_one_line(error)}); {_REMEDY}") from error


class _Unfit(Exception):  # noqa: N818 - not an error of its own: the reason in the middle of one
    """Why the contents of a file are no recording: a clause, for ``read`` to make a sentence of."""


def _recording(archive: zipfile.ZipFile) -> Recording:
    if "recording.npy" not in archive.namelist():
        raise _Unfit("it has no array named 'recording'")
    head = json.loads(str(_array(archive, "recording")))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        said = head.get("format") if isinstance(head, dict) else head
        raise _Unfit(f"its format is {str(said)[:40]!r}, and this version reads {FORMAT!r}")
    return Recording(
        command=tuple(head["command"]),
        every_ns=head["every_ns"],
        tracker=head["tracker"],
        facts={str(name): str(value) for name, value in head["facts"].items()},
        notes=tuple(head["notes"]),
        slowdowns=tuple(_slowdown(each) for each in head["slowdowns"]),
        traces=tuple(_trace(archive, number, each) for number, each in enumerate(head["traces"])),
    )


def _slowdown(head: dict[str, Any]) -> Slowdown:
    return Slowdown(every_ns=head["every_ns"], wall_ns=tuple(head["wall_ns"]), cpu_ns=tuple(head["cpu_ns"]))


def _trace(archive: zipfile.ZipFile, number: int, head: dict[str, Any]) -> PageTrace:
    table = _array(archive, f"{number}.ticks", np.int64, 2)
    if table.shape[1] != len(COLUMNS) + 2 or (len(table) and table.min() < 0):
        raise _Unfit(f"'{number}.ticks' is not a table of ticks")
    if (np.diff(table[:, 0]) < 0).any() or (table[:, 1] < table[:, 0]).any():
        raise _Unfit(f"the ticks of trace {number} run backwards")
    kept = KeptRuns.of(list(_chunks(archive, number, table[:, -2], table[:, -1])))
    first = KeptRuns.of([_chunk(archive, f"{number}.initial")])
    mappings = tuple(Mapping(**dict(zip(_MAPPING, each, strict=True))) for each in head["mappings"])
    return PageTrace(
        pid=head["pid"],
        parent_pid=head["parent_pid"],
        began=head["began"],
        command=tuple(head["command"]),
        ended=head["ended"],
        page_bytes=head["page_bytes"],
        mappings=mappings,
        **{name: table[:, index].copy() for index, name in enumerate(COLUMNS)},
        kept=kept,
        before=first,
    )


_MAPPING = tuple(each.name for each in attrs.fields(Mapping))


def _chunks(
    archive: zipfile.ZipFile, number: int, runs: npt.NDArray[np.int64], chunk: npt.NDArray[np.int64]
) -> Iterator[Chunk]:
    changes = np.diff(chunk)
    if len(chunk) and (chunk[0] != 0 or changes.min(initial=0) < 0 or changes.max(initial=0) > 1):
        raise _Unfit(f"the chunks of trace {number} are out of order")
    for index in range(int(chunk[-1]) + 1 if len(chunk) else 0):
        yield _chunk(archive, f"{number}.{index}", runs[chunk == index])


def _chunk(archive: zipfile.ZipFile, name: str, runs: npt.NDArray[np.int64] | None = None) -> Chunk:
    gaps, lengths = (_array(archive, f"{name}.{part}", np.uint8, 1) for part in ("gaps", "lengths"))
    if runs is None:  # one tick's, whose number of runs nobody says: that of the numbers' ends
        runs = np.array([np.count_nonzero(gaps < 0x80)], dtype=np.int64)
    return gaps, lengths, runs


def _array(archive: zipfile.ZipFile, name: str, dtype: type | None = None, dimensions: int = 0) -> npt.NDArray[Any]:
    """A member, once what its header promises is known to be there: numpy would ask for that memory first."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise _Unfit(f"it has no array named {name!r}") from None
    with archive.open(member) as file, warnings.catch_warnings():
        # numpy only warns of headers that Python 2 wrote; no version of ours did.
        warnings.filterwarnings("error", message="Reading `.npy` or `.npz` file")
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, found = header(file)
        promised = math.prod(shape) * found.itemsize
        # The second is the most that deflation makes of a byte.
        if promised > member.file_size or member.file_size > 1032 * member.compress_size:
            raise _Unfit(f"{name!r} promises {promised} bytes, and there are fewer")
        if len(shape) != dimensions or (dtype is not None and found != np.dtype(dtype)):
            raise _Unfit(f"{name!r} is an array of another kind")
    with archive.open(member) as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 80 else text[:77] + "..."
