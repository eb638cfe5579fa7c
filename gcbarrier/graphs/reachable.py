"""What the roots of a graph reach, and the graph without the rest.

Broad heaps are gone through level by level, all references of a level at once. A level of a few objects (a long list
has as many as elements) is not worth that: as long as levels are so thin, one object is taken after the other.
"""

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.graphfile import Graph

_THIN = 64  # objects of a level
_WIDE = 4096  # references of one of them
_PIECE = 1 << 20

_Seen = npt.NDArray[np.bool_]
_Nodes = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True)
class Imported:
    """A graph that holds only what its roots reach, and how much was left out for not being reached."""

    graph: Graph
    dropped_nodes: int
    dropped_bytes: int


def keep_reachable(graph: Graph) -> Imported:
    """Leave out what no root reaches; the rest keeps its order."""
    seen = reachable(graph)
    if seen.all():
        return Imported(graph=graph, dropped_nodes=0, dropped_bytes=0)
    number = np.cumsum(seen, dtype=np.uint32)
    number -= np.uint32(1)
    degrees = np.diff(graph.offsets)
    offsets = np.zeros(int(seen.sum()) + 1, dtype=np.uint64)
    np.cumsum(degrees[seen], out=offsets[1:])
    kept = Graph(
        sizes_bytes=graph.sizes_bytes[seen],
        offsets=offsets,
        targets=_targets(graph, seen, number, int(offsets[-1])),
        roots=number[graph.roots],
        source=graph.source,
        addresses=None if graph.addresses is None else graph.addresses[seen],
    )
    return Imported(
        graph=kept,
        dropped_nodes=graph.node_count - kept.node_count,
        dropped_bytes=graph.total_bytes - kept.total_bytes,
    )


def _targets(graph: Graph, seen: _Seen, number: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """The new numbers of what the seen refer to; piece by piece, since a heap may be half of all memory."""
    targets = np.empty(count, dtype=np.uint32)
    filled = 0
    for start in range(0, graph.node_count, _PIECE):
        bounds = graph.offsets[start : start + _PIECE + 1].astype(np.int64)
        old = graph.targets[bounds[0] : bounds[-1]]
        kept = number[old[np.repeat(seen[start : start + _PIECE], np.diff(bounds))]]
        targets[filled : filled + len(kept)] = kept
        filled += len(kept)
    return targets


def reachable(graph: Graph) -> _Seen:
    """Of each object whether a root reaches it."""
    offsets = graph.offsets.view(np.int64)
    seen = np.zeros(graph.node_count, dtype=np.bool_)
    frontier = np.unique(graph.roots).astype(np.int64)
    seen[frontier] = True
    while len(frontier):
        frontier = _next(graph.targets, offsets, seen, frontier)
        if len(frontier) < _THIN:
            frontier = _thin(graph, seen, frontier)
    return seen


def _next(targets: npt.NDArray[np.uint32], offsets: _Nodes, seen: _Seen, frontier: _Nodes) -> _Nodes:
    """What is first reached from ``frontier``, and is seen from now on."""
    found = []
    for start in range(0, len(frontier), _PIECE):
        # All references of so many at once: each object's range of targets, one range after the other.
        some = frontier[start : start + _PIECE]
        starts = offsets[some]
        counts = offsets[some + 1] - starts
        edges = np.repeat(starts - (np.cumsum(counts) - counts), counts)
        edges += np.arange(len(edges))
        reached = targets[edges]
        fresh = _different(reached[~seen[reached]], len(seen))
        seen[fresh] = True
        found.append(fresh)
    return np.concatenate(found).astype(np.int64)


def _different(nodes: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.integer]:
    """Each of ``nodes`` once, in order; of ``count`` that there are."""
    if len(nodes) < count // 16:
        return np.unique(nodes)
    there = np.zeros(count, dtype=np.bool_)  # quicker than sorting many
    there[nodes] = True
    return np.flatnonzero(there)


def _thin(graph: Graph, seen: _Seen, frontier: _Nodes) -> _Nodes:
    """Go on from ``frontier`` until there is nothing more, or much at once; what is left to go on from."""
    offsets, targets, marked = graph.offsets.data, graph.targets.data, seen.data
    waiting: list[int] = frontier.tolist()
    while waiting and len(waiting) < 2 * _THIN:
        if any(offsets[node + 1] - offsets[node] > _WIDE for node in waiting):
            break
        reached: set[int] = set()
        for node in waiting:
            reached.update(each for each in targets[offsets[node] : offsets[node + 1]] if not marked[each])
        for node in reached:
            marked[node] = True
        waiting = list(reached)
    return np.array(waiting, dtype=np.int64)
