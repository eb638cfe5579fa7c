r"""The object graph of a real program, edited at a chosen rate.

The shipped graph, typescript.graph.npz, is the heap of the TypeScript compiler (tsc 5.9.3 in Node.js 20.20.2) at the
end of type-checking one small file: 172,558 objects and 806,045 references, captured with::

    npm install typescript@5.9.3
    echo 'export const hello = (name: string): string => `hello ${name}`;' > hello.ts
    node --import 'data:text/javascript,import{writeHeapSnapshot}from"node:v8";process.on("exit",()=>writeHeapSnapshot("tsc.heapsnapshot"))' \
        node_modules/typescript/bin/tsc --noEmit --lib es5 hello.ts
    gcbarrier import tsc.heapsnapshot

The same ``--import`` captures any other Node.js program as it exits; hand the file that ``gcbarrier import`` makes of it
to this heap as ``graph``. Two more are shipped, with the addresses of their objects; ``graph=cpython`` and ``graph=jvm``
name them. Their programs are those of the recordings in ``heaps/trace/corpus/programs``:

- cpython.graph.npz, 188,684 objects and 389,185 references of CPython 3.11.2 at its end, and cpython.pages, the page
  writes of the same process up to then (what ``locality`` holds the two against each other with)::

    gcbarrier record --every 20ms --out cpython.pages -- \
        gcbarrier import --python -- python3 cpython.py documents rewriting tree

- jvm.graph.npz, 382,173 objects and 494,752 references under HotSpot's serial collector (OpenJDK 17.0.15), after a second::

    javac -d . Work.java && java -XX:+UseSerialGC -Xms128m -Xmx128m -cp . Work 400 &
    jcmd PID GC.heap_dump work.hprof && gcbarrier import work.hprof

An object has the program's references and at least its size there; a word more where the program's object has no room
for the number that tells a verifying run which one it is. The heap is filled with copies of the graph; each copy is
edited by one mutator alone.

Where the graph says where the program's objects lay (imported from HPROF, CPython or hwgc-soft; V8 does not say), they are
allocated in order of their addresses, so that neighbours there are neighbours here: what shared a page shares one or lies
on the next. Gaps are closed. Else, and with ``placement=breadth-first``, they are allocated in breadth-first order
from the roots. Pages are counted in the order of allocation.

The edits are those of graph_edits. A spanning tree keeps every object reachable:

- a reference outside the tree is redirected to a random object of the copy (one store);
- ``move_share``: two leaves of the tree change places (two stores);
- ``replace_share``: a leaf is replaced by a new object with the same contents.

Only leaves that nothing else refers to, of at most 4 KiB, are moved and replaced; references are never redirected to
them. The ``garbage_per_edit`` new objects have the shapes of random objects of the graph, up to 4 KiB.
"""  # noqa: E501 - a command to copy stays on one line

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.model import PAGE_BYTES, format_bytes

_HERE = Path(__file__).parent

SMALL_BYTES = 4096
"""Larger objects are neither moved nor replaced nor made as garbage: one would outweigh thousands of edits."""

THREAD_BYTES = 1 << 16
"""A mutator's blocks to allocate in: one for small objects, one for larger ones."""

_Integers = npt.NDArray[np.int64]


@frozen(kw_only=True)
class Params:
    """Which graph, how often, and what is done to it."""

    graph: str = field(default="", validator=validators.instance_of(str))
    """Path of a .graph.npz that `gcbarrier import` made, or `cpython`, `jvm` or `typescript`; empty: the last."""
    live_share: float = field(default=0.4, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the copies of the graph take, where ``copies`` is automatic."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that they take then, whatever the heap's size; 0: ``live_share`` of it."""
    placement: str = field(default="", validator=validators.in_(("", "address", "breadth-first")))
    """Order in which a copy is allocated: `address` or `breadth-first`; empty: by address where the graph has some."""
    copies: int = field(default=0, validator=[validators.ge(0), validators.le(1 << 20)])
    """Copies of the graph, all mutators' together; 0: as many as fit into ``live_bytes``, at least one."""
    rate_per_s: float = field(default=100_000.0, validator=validators.ge(0))
    """Operations per second and mutator; 0: as fast as it can."""
    move_share: float = field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    """Share of the operations that exchange two leaves."""
    replace_share: float = field(default=0.05, validator=[validators.ge(0), validators.le(1)])
    """Share of the operations that replace a leaf by a new object."""
    garbage_per_edit: float = field(default=1.0, validator=[validators.ge(0), validators.le(1000)])
    """Objects allocated beside an operation, on average."""
    ring: int = field(default=1024, validator=[validators.ge(1), validators.le(1 << 20)])
    """Of each mutator's fresh objects the last so many stay reachable."""
    hot_share: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    """Share of the graph's pages that are written, evenly spread over it."""
    zipf: float = field(default=0.0, validator=[validators.ge(0), validators.le(10)])
    """How uneven those are: the k-th hottest is written in proportion to 1/k to this power; 0: all alike."""


@frozen(kw_only=True, eq=False)
class Plan:
    """A graph as the mutator builds it: renumbered breadth first behind object 0, which refers to the roots."""

    starts: _Integers
    """n + 1: object i refers to ``targets[starts[i]:starts[i + 1]]``."""
    targets: _Integers
    raw_words: _Integers
    parents: _Integers
    """The object that keeps it reachable, which comes before it; object 0 is its own."""
    parent_slots: _Integers
    movable: npt.NDArray[np.bool_]
    """Leaves of the tree that one slot alone refers to."""
    by_address: _Integers | None
    """The objects in order of their addresses, object 0 first; None where the graph has none."""

    @property
    def sizes_bytes(self) -> _Integers:
        """Bytes of each object, in the heap's multiples of 16."""
        words = 1 + np.diff(self.starts) + self.raw_words
        return (words + 1) // 2 * 16

    @property
    def heap_bytes(self) -> int:
        """Bytes of heap for one copy: an object above 16 KiB has blocks of 32 KiB of its own."""
        sizes = self.sizes_bytes
        return int(np.where(sizes > 1 << 14, (sizes + (1 << 15) - 1) >> 15 << 15, sizes).sum())


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:  # noqa: ARG001 - one signature for all heaps
    """The parameters with the automatic number of copies and order of allocation made concrete."""
    live_bytes = params.live_bytes or int(params.live_share * heap_bytes)
    plan = _plan(params)
    fitting = live_bytes // plan.heap_bytes
    placement = params.placement or ("breadth-first" if plan.by_address is None else "address")
    return evolve(params, copies=params.copies or max(1, fitting), placement=placement)


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    if params.move_share + params.replace_share > 1:
        raise GcBarrierError(
            f"snapshot can't have move_share={params.move_share} and replace_share={params.replace_share}: "
            "they are shares of the same operations; make their sum at most 1"
        )
    plan = _plan(params)
    by_address = params.placement == "address"
    if by_address and plan.by_address is None:
        raise GcBarrierError(
            "snapshot can't have placement=address: the graph does not say where its objects lay; use "
            "placement=breadth-first or import a heap with addresses, such as a Java heap dump"
        )
    fresh = mutators * (THREAD_BYTES + params.ring * (8 + _mean_fresh_bytes(plan)))
    if params.copies < mutators:
        least = _mib((mutators * plan.heap_bytes) / params.live_share)
        raise GcBarrierError(
            f"each of {mutators} mutators edits its own copies of the graph, and there are {params.copies}: "
            f"use a heap of at least {least} MiB (a copy takes {format_bytes(plan.heap_bytes)}), a larger live_share, "
            "more copies or fewer mutators"
        )
    # As long as a copy is built, one table more refers to each of its objects.
    needed = params.copies * plan.heap_bytes + fresh + by_address * 8 * len(plan.parents)
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"{params.copies} x the graph and the rings take {format_bytes(needed)}, more than nine tenths of the "
            f"heap's {format_bytes(heap_bytes)}: use a heap of at least {_mib(needed / 0.9)} MiB, "
            "fewer copies or a smaller graph"
        )


def blob(params: Params, *, heap_bytes: int, mutators: int) -> npt.NDArray[np.uint8]:  # noqa: ARG001
    """The tables that mutator.c names `graph`, behind one another."""
    plan = _plan(params)
    sizes = plan.sizes_bytes
    objects, degrees = len(sizes), np.diff(plan.starts)
    owners = np.repeat(np.arange(objects), degrees)
    slots = np.arange(len(owners)) - np.repeat(plan.starts[:-1], degrees)
    in_tree = _in_tree(plan)
    by_address = params.placement == "address" and plan.by_address is not None
    order = plan.by_address if by_address else np.arange(objects)
    # In allocation order, as if nothing lay between the objects.
    begins = np.empty(objects, dtype=np.int64)
    begins[order] = np.cumsum(sizes[order]) - sizes[order]
    pages_of = (np.repeat(begins, degrees) + 8 + 8 * slots) // PAGE_BYTES
    pages = int(-(-sizes.sum() // PAGE_BYTES))
    free = np.flatnonzero(~in_tree & ~plan.movable[owners])
    leaves = np.flatnonzero(in_tree & plan.movable[plan.targets])
    fixed = np.flatnonzero(~plan.movable)
    garbage = _fresh_shapes(plan)
    counts = [objects, len(owners), pages, len(free), len(leaves), len(fixed), len(garbage), degrees.max(), by_address]
    tables: list[_Integers] = [order, plan.targets, plan.raw_words, plan.parents, plan.parent_slots]
    for kind in (free, leaves):
        entries = kind[np.argsort(pages_of[kind], kind="stable")]
        tables += [np.searchsorted(pages_of[entries], np.arange(pages + 1)), owners[entries], slots[entries]]
    tables += [fixed, garbage]
    wide = np.concatenate([np.array(counts), plan.starts]).astype(np.uint64)
    narrow = np.concatenate(tables).astype(np.uint32)
    return np.concatenate([wide.view(np.uint8), narrow.view(np.uint8)])


def plan_of(graph: Graph) -> Plan:
    """The graph's objects that its roots reach, in breadth-first order, with the tree of first references."""
    offsets, degrees = graph.offsets.astype(np.int64), graph.out_degrees()
    number = np.full(graph.node_count, -1, dtype=np.int64)
    roots = np.unique(graph.roots).astype(np.int64)
    number[roots] = np.arange(1, 1 + len(roots))
    levels, frontier, numbered = [roots], roots, 1 + len(roots)
    parents, parent_slots = [np.zeros(1 + len(roots), dtype=np.int64)], [np.r_[0, np.arange(len(roots))]]
    while len(frontier):
        owners, edges = _edges_of(frontier, offsets, degrees)
        reached = graph.targets[edges].astype(np.int64)
        new = number[reached] < 0
        frontier, first = np.unique(reached[new], return_index=True)
        by = owners[new][first]
        parents.append(number[by])
        parent_slots.append(edges[new][first] - offsets[by])
        number[frontier] = numbered + np.arange(len(frontier))
        numbered += len(frontier)
        levels.append(frontier)
    order = np.concatenate(levels)
    _, edges = _edges_of(order, offsets, degrees)
    new_degrees = np.r_[len(roots), degrees[order]]
    targets = np.r_[number[roots], number[graph.targets[edges]]]
    raw_bytes = np.r_[0, graph.sizes_bytes[order].astype(np.int64)] - 8 - 8 * new_degrees
    starts = np.r_[0, np.cumsum(new_degrees)]
    raw_words = np.maximum(1, (raw_bytes + 7) // 8)
    parent = np.concatenate(parents)
    childless = np.bincount(parent[1:], minlength=len(parent)) == 0
    owned = np.bincount(targets, minlength=len(parent)) == 1
    by_address = None if graph.addresses is None else np.r_[0, 1 + np.argsort(graph.addresses[order])]
    small = 8 * (1 + new_degrees + raw_words) <= SMALL_BYTES
    return Plan(
        starts=starts,
        targets=targets,
        raw_words=raw_words,
        parents=parent,
        parent_slots=np.concatenate(parent_slots),
        movable=childless & owned & small,
        by_address=by_address,
    )


def _edges_of(nodes: _Integers, offsets: _Integers, degrees: _Integers) -> tuple[_Integers, _Integers]:
    """The references of all nodes, one node's after the other's: who has each, and its index among all of the graph."""
    counts = degrees[nodes]
    starts = offsets[nodes] - (np.cumsum(counts) - counts)
    return np.repeat(nodes, counts), np.repeat(starts, counts) + np.arange(counts.sum())


def _in_tree(plan: Plan) -> npt.NDArray[np.bool_]:
    """Of each reference whether it is the one that keeps its target reachable."""
    in_tree = np.zeros(len(plan.targets), dtype=np.bool_)
    in_tree[plan.starts[plan.parents[1:]] + plan.parent_slots[1:]] = True
    return in_tree


def _fresh_shapes(plan: Plan) -> _Integers:
    """The objects that garbage is like; the smallest one where all are large."""
    small = 1 + np.flatnonzero(plan.sizes_bytes[1:] <= SMALL_BYTES)
    return small if len(small) else 1 + np.array([plan.sizes_bytes[1:].argmin()])


def _mean_fresh_bytes(plan: Plan) -> int:
    return int(plan.sizes_bytes[_fresh_shapes(plan)].mean())


def _mib(count: float) -> int:
    return int(count / (1 << 20)) + 1


def _plan(params: Params) -> Plan:
    graph = params.graph or "typescript"
    named = _HERE / f"{graph}{graphfile.SUFFIX}"
    path = named if "/" not in graph and named.is_file() else Path(graph).expanduser()
    try:
        status = path.stat()
        return _load(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return _load(path, 0, 0)  # which says what is wrong with it


@functools.lru_cache(maxsize=1)
def _load(path: Path, _mtime_ns: int, _size: int) -> Plan:
    """Once per file, since resolve(), check() and blob() all need it."""
    return plan_of(graphfile.read(path))
