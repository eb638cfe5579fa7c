"""What roots reach: the same, however broad, long or wide a heap is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcbarrier.graphs import reachable
from gcbarrier.graphs.graphfile import Graph


def graph(references: list[list[int]], roots: list[int]) -> Graph:
    return Graph(
        sizes_bytes=np.arange(len(references), dtype=np.uint64),
        offsets=np.cumsum([0, *map(len, references)]).astype(np.uint64),
        targets=np.array([each for some in references for each in some], dtype=np.uint32),
        roots=np.array(roots, dtype=np.uint32),
        addresses=np.arange(len(references), 0, -1, dtype=np.uint64) << 20,
    )


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    data=st.data(), thin=st.sampled_from([0, 2, 64]), wide=st.sampled_from([1, 4096]), piece=st.sampled_from([1, 99])
)
def test_what_stays_is_what_a_plain_traversal_meets(data: st.DataObject, thin: int, wide: int, piece: int) -> None:
    count = data.draw(st.integers(1, 30))
    node = st.integers(0, count - 1)
    references = data.draw(st.lists(st.lists(node, max_size=4), min_size=count, max_size=count))
    roots = data.draw(st.lists(node, min_size=1, max_size=3))
    met, waiting = set(roots), [*roots]
    while waiting:
        fresh = set(references[waiting.pop()]) - met
        met |= fresh
        waiting += fresh
    order = sorted(met)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reachable, "_THIN", thin)
        patch.setattr(reachable, "_WIDE", wide)
        patch.setattr(reachable, "_PIECE", piece)
        imported = reachable.keep_reachable(graph(references, roots))
    kept = imported.graph
    assert kept.sizes_bytes.tolist() == order
    assert kept.addresses is not None
    assert kept.addresses.tolist() == [(count - each) << 20 for each in order]
    ends = kept.offsets.tolist()
    found = [[order[each] for each in kept.targets[ends[i] : ends[i + 1]]] for i in range(len(order))]
    assert found == [references[each] for each in order]
    assert [order[each] for each in kept.roots] == roots
    assert imported.dropped_nodes == count - len(order)
    assert imported.dropped_bytes == sum(set(range(count)) - met)
