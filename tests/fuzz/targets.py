"""What is fuzzed: each reader as a function of bytes, with valid inputs to start from.

The contract of all of them: whatever the bytes are, there is a result or a GcBarrierError of one line, soon. The same
functions are driven by coverage (``explore.py``) and by the test suite (``test_readers.py``).
"""

import gzip
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from attrs import frozen
from python_heaps import SMALL, stream

from gcbarrier.campaign import settings, sweeps
from gcbarrier.campaign.plans import Plan
from gcbarrier.core.events import EVENT
from gcbarrier.core.times import FIRST, STAMP
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import addresses as placed
from gcbarrier.graphs import graphfile, importers
from gcbarrier.model import Config, Cycle, Invocation, Outcome, Pause, Verification, converter, to_json
from gcbarrier.page_traces import pagesfile
from gcbarrier.page_traces.records import Mapping, Slowdown
from gcbarrier.results.compared import compare
from gcbarrier.results.latency import kept_in
from gcbarrier.results.run import FORMAT, load
from gcbarrier.results.summary import Entry, Numbers, Place, Summary
from gcbarrier.results.tables import PAUSES

sys.path.append(str(Path(__file__).parents[1] / "support"))  # for explore.py, which is no test
import hprof
import hwgc

SEPARATOR = b"\n---\n"
"""Between the two files of a run directory."""


@frozen(kw_only=True)
class Target:
    """``read(data, folder)`` may write what it needs into ``folder``; ``seeds`` are valid inputs."""

    read: Callable[[bytes, Path], Any]
    seeds: Callable[[], list[bytes]]
    words: tuple[str, ...] = ()
    """What a blind mutation would hardly find."""


def check(target: Target, data: bytes, folder: Path) -> str:
    """Read ``data``; the refusal in words, or "". Anything but a result or a one-line refusal is an AssertionError."""
    refusal = ""
    try:
        target.read(data, folder)
    except GcBarrierError as problem:
        refusal = str(problem) or "it gives no reason\n"
    except Exception as problem:
        raise AssertionError(f"{type(problem).__name__}: {str(problem)[:200]}") from problem
    assert "\n" not in refusal, refusal
    return refusal


def _read_graph(data: bytes, folder: Path) -> None:
    path = folder / "x.graph.npz"
    path.write_bytes(data)
    graphfile.read(path).out_degrees()


def _read_members(data: bytes, folder: Path) -> None:
    """A well-formed archive around arrays that need not be: checksums would keep mutations out of the arrays."""
    _read_graph(archive(unpacked(data)), folder)


def _read_pages(data: bytes, folder: Path) -> None:
    path = folder / "x.pages"
    path.write_bytes(data)
    for trace in pagesfile.read(path).traces:
        for tick in range(trace.ticks):
            trace.runs(tick)


def _read_page_members(data: bytes, folder: Path) -> None:
    _read_pages(archive(unpacked(data)), folder)


def _recording() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.pages"
        with pagesfile.Writer(path, command=("a",), every_ns=10, tracker="soft-dirty", facts={"kernel": "6"}) as writer:
            runs = np.array([[4096, 8192], [1 << 30, (1 << 30) + 40960]], dtype=np.uint64)
            for began in ("start", "fork"):
                trace = writer.begin(pid=7, parent_pid=None, began=began, command=("a",), initial=runs)
                for tick in range(3):
                    times = {"begin_ns": tick, "end_ns": tick + 1, "collect_ns": 1, "cpu_ns": 1, "faults": 1}
                    writer.tick(trace, runs=runs[: tick % 3], **times)
                writer.end(trace, ended="exit 0", mappings=[Mapping(start=4096, end=8192, name="[heap]")])
            writer.close(notes=["a note"], slowdowns=[Slowdown(every_ns=0, wall_ns=(1, 2), cpu_ns=(1, 1))])
        return path.read_bytes()


def _recorded_members() -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(_recording())) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def _read_snapshot(data: bytes, folder: Path) -> None:
    path = folder / "x.heapsnapshot"
    path.write_bytes(data)
    importers.import_graph(path)


def _read_hprof(data: bytes, folder: Path) -> None:
    path = folder / "x.hprof"
    path.write_bytes(data)
    importers.import_graph(path)


def _read_hwgc(data: bytes, folder: Path) -> None:
    path = folder / "x.binpb"
    path.write_bytes(data)
    importers.import_graph(path)


def _read_python_heap(data: bytes, folder: Path) -> None:
    path = folder / "x.pyheap"
    path.write_bytes(data)
    importers.import_graph(path)


def _read_run(data: bytes, folder: Path) -> None:
    manifest, _, outcomes = data.partition(SEPARATOR)
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "outcomes.jsonl").write_bytes(outcomes)
    run = load(folder)
    for machine in run.machines:
        run.facts(machine), run.on(machine)
    list(PAUSES.rows(run.outcomes, run.experiment))


def _read_stamps(data: bytes, folder: Path) -> None:
    path = folder / "0.npy"
    path.write_bytes(data)
    if (found := kept_in(path)) is not None:
        found.metered(1e6), found.metered(float("inf"))


def stamps_file(*arrays: Any) -> bytes:
    """Raw events of an invocation, and what follows them."""
    buffer = io.BytesIO()
    for array in (np.zeros(2, EVENT), *arrays):
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _stamps() -> bytes:
    return stamps_file(np.array([(10**15, 2), (10**15, 1)], FIRST), np.array([(0, 5), (7, 9), (2, 3)], STAMP))


def _read_summary(data: bytes, folder: Path) -> None:
    path = folder / "x.json"
    path.write_bytes(data)
    compare(path, by="barrier")


def _read_settings(data: bytes, _folder: Path) -> None:
    pairs = data.decode(errors="surrogateescape").split("\n")
    plan = Plan(configs=(Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent"),))
    settings.read(pairs).apply(plan)


def _read_sweep(data: bytes, folder: Path) -> None:
    path = folder / "sweep.toml"
    path.write_bytes(data)
    settings.read([], sweep=path, experiment="stalls")


def unpacked(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents, from a length before each: the inverse of :func:`packed` for what that makes."""
    members, at = [], 0
    while at + 5 <= len(data):
        name_bytes, content_bytes = struct.unpack_from("<BI", data, at)
        at += 5
        name = data[at : at + name_bytes].decode("latin-1")
        members.append((name, data[at + name_bytes : at + name_bytes + content_bytes]))
        at += name_bytes + content_bytes
    return members


def packed(members: list[tuple[str, bytes]]) -> bytes:
    """What the target ``members`` takes."""
    return b"".join(struct.pack("<BI", len(name), len(data)) + name.encode() + data for name, data in members)


def archive(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        # As ZipInfo has it: names end at a NUL.
        for name, data in {name.partition("\0")[0]: data for name, data in members}.items():
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


def graph_members(**change: Any) -> list[tuple[str, bytes]]:
    """The members of a small graph file; ``change`` replaces arrays."""
    arrays = {
        "format": np.array(graphfile.FORMAT),
        "source": np.array(json.dumps({"program": "p", "version": "1"})),
        "sizes_bytes": np.array([16, 32, 0], dtype=np.uint8),
        "out_degrees": np.array([2, 0, 1], dtype=np.uint32),
        "targets": np.array([1, 2, 0], dtype=np.uint32),
        "roots": np.array([0], dtype=np.uint32),
    } | change
    members = []
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        members.append((f"{name}.npy", buffer.getvalue()))
    return members


def addresses() -> dict[str, Any]:
    """The array for addresses of those three objects."""
    return {"address_steps": placed.packed(np.array([0x7000_0010, 0x7000_0000, 0x9_0000_0000], dtype=np.uint64))}


def snapshot_text() -> str:
    """A small V8 heap snapshot: three nodes, four edges, one of them weak."""
    return json.dumps(
        {
            "snapshot": {
                "meta": {
                    "node_fields": ["type", "name", "id", "self_size", "edge_count", "trace_node_id"],
                    "node_types": [["hidden"], "string", "number", "number", "number", "number"],
                    "edge_fields": ["type", "name_or_index", "to_node"],
                    "edge_types": [["context", "internal", "shortcut", "weak"], "string_or_number", "node"],
                },
                "node_count": 3,
                "edge_count": 4,
            },
            "nodes": [9, 1, 1, 0, 2, 0, 3, 1, 3, 24, 1, 0, 3, 1, 5, 16, 1, 0],
            "edges": [1, 0, 6, 1, 1, 12, 1, 2, 12, 3, 2, 0],
            "strings": ["", "a"],
        }
    )


def run_text() -> str:
    """The manifest and outcomes of a small run directory."""
    config = Config(heap="h", barrier="b", collector="c", heap_params={"a": 1, "b": "x", "c": 0.5, "d": True})
    zero = dict.fromkeys(("ttsp_ns", "roots_ns", "collect_ns", "rescan_ns", "mark_ns", "resume_ns"), 0)
    pause = Pause(cycle=1, kind="remark", start_ns=5, pause_ns=7, dirty_granules=1, rounds=0, preempted=False, **zero)
    cycle = Cycle(
        cycle=1, cause="time", start_ns=1, duration_ns=9, rounds=1, marked_objects=1, mark_ns=1, live_bytes=1,
        round_dirty=(3, 1),
    )  # fmt: skip
    counts = ("objects_checked", "reported_granules", "written_granules", "false_dirty_granules", "lost_granules")
    found = Verification(cycles_checked=1, checksum_matches=True, **dict.fromkeys(counts, 0))
    good = Outcome(
        invocation=Invocation(config=config, index=0, seed=1),
        machine="m",
        pauses=(pause,),
        cycles=(cycle,),
        verification=found,
        facts={"fault_cost_ns": 1},
    )
    failed = Outcome(invocation=Invocation(config=config, index=1, seed=2), machine="m", error="no")
    manifest = {"format": FORMAT, "experiment": "e", "machines": {"m": {"kernel": {"release": "6.12"}}}}
    return json.dumps(manifest) + SEPARATOR.decode() + to_json(good) + "\n" + to_json(failed) + "\n"


def summary_text() -> str:
    """A small summary: two barriers that compare."""
    numbers = {"cpu": Numbers(unit="ns", each=(1.0, 2.0, 3.0, 4.0, 5.5), centre=3.0, low=1.0, high=5.5, n=5)}
    cells = tuple(
        Entry(
            label=f"h/{barrier}/c",
            config={"heap": "h", "barrier": barrier, "collector": "c", "heap_params": {"a": 1}},
            invocations=tuple(range(5)),
            seeds=tuple(range(5)),
            measures=numbers,
        )
        for barrier in ("none", "b")
    )
    facts = {"cpu": {"model": "m"}, "load_average": [1.0]}
    summary = Summary(experiment="e", date="2026-01-02", machines={"m": Place(facts=facts, cells=cells)})
    return json.dumps(converter.unstructure(summary))


SETTINGS = (
    "heap=graph_edits",
    "barrier=uffd-wp-async",
    "collector=mostly-concurrent",
    "heap_bytes=1GiB",
    "duration_s=0.5",
    "mutators=2",
    "memory=shmem",
    "graph_edits.rate_per_s=0",
    "mostly-concurrent.rounds=1",
    "invocations=5",
    "seed=1",
    "machine=native",
)

TARGETS = {
    "archive": Target(
        read=_read_graph,
        seeds=lambda: [
            *(archive(graph_members(), kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)),
            archive(graph_members(**addresses())),
        ],
    ),
    "members": Target(
        read=_read_members,
        seeds=lambda: [packed(graph_members()), packed(graph_members(**addresses()))],
        words=("'descr': '<u8'", "'descr': '|O'", "'fortran_order': True", "'shape': ()", "'shape': (1000000000000,)"),
    ),
    "pages": Target(read=_read_pages, seeds=lambda: [_recording()]),
    "page members": Target(
        read=_read_page_members,
        seeds=lambda: [packed(_recorded_members())],
        words=(
            "'descr': '<i8'",
            "'shape': ()",
            "'shape': (1000000000000, 7)",
            '"page_bytes": ',
            '"mappings": [[',
            "null",
        ),
    ),
    "snapshot": Target(
        read=_read_snapshot,
        seeds=lambda: [snapshot_text().encode()],
        words=(
            '"node_fields"',
            '"edge_types"',
            '"nodes":[',
            '"edges":[',
            "99999999999999999999",
            "1000000000000",
            "[[",
        ),
    ),
    "hprof": Target(
        read=_read_hprof,
        seeds=lambda: [hprof.small(8).bytes(), hprof.small(4).bytes(), gzip.compress(hprof.small().bytes())],
        words=(
            "JAVA PROFILE 1.0.1\0",
            "JAVA PROFILE 1.0.3\0",
            "\x1c\0\0\0\0\x7f",
            "\x21\0",
            "\x22\0",
            "java/lang/Class",
        ),
    ),
    "hwgc": Target(
        read=_read_hwgc,
        seeds=lambda: [hwgc.small(), gzip.compress(hwgc.small())],
        words=("\x0a\x7f", "\x3a\x0e", "\x12\x02", "\x08\x01\x10\x02"),
    ),
    "python heap": Target(
        read=_read_python_heap,
        seeds=lambda: [stream([SMALL]), stream([SMALL, [(99, 0x9000, 24, 1, [16])]])],
        words=("\x00" * 8, "\xff" * 8, "\x01" + "\x00" * 7, "gcbarrier python heap 1\n"),
    ),
    "run": Target(
        read=_read_run,
        seeds=lambda: [run_text().encode()],
        words=("null", "true", "1e999", "NaN", "-1", "[[[[", '"format"', '"round_dirty"', "99999999999999999999999"),
    ),
    "stamps": Target(
        read=_read_stamps,
        seeds=lambda: [_stamps(), stamps_file()],
        words=("'descr': '<u8'", "'descr': '|O'", "'fortran_order': True", "'shape': ()", "'shape': (1000000000000,)"),
    ),
    "summary": Target(
        read=_read_summary,
        seeds=lambda: [summary_text().encode()],
        words=("null", "true", "1e999", "NaN", "-1", "[[[[", "0.0", '"each"', '"config"', "1e308", "9" * 40),
    ),
    "settings": Target(
        read=_read_settings,
        seeds=lambda: ["\n".join(SETTINGS).encode(), *(pair.encode() for pair in SETTINGS)],
        words=("nan", "inf", "1e999", "-1", "true", "=", "..", "gcbench.", "9" * 40),
    ),
    "sweep": Target(
        read=_read_sweep,
        seeds=lambda: [str(sweeps.__doc__).partition("::\n")[2].replace("\n    ", "\n").encode()],
        words=("[[points]]", "[grid]", "[set]", "= [", "nan", "1979-05-27", "{}", "seed = ", ".a.b", "9" * 40),
    ),
}
