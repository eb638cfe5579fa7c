"""Objects and references on pages, counted by hand."""

import tracemalloc

import attrs
import numpy as np
import pytest

from gcbarrier.graphs.graphfile import LARGEST_OBJECT_BYTES, Graph
from gcbarrier.graphs.locality import breadth_first, locality

PAGE = 4096
HUGE = 1 << 21


def graph(*objects: tuple[int, int, list[int]], roots: tuple[int, ...] = (0,)) -> Graph:
    """Each object's address, size and references."""
    return Graph(
        sizes_bytes=np.array([size for _, size, _ in objects], dtype=np.uint64),
        offsets=np.cumsum([0, *(len(to) for *_, to in objects)]).astype(np.uint64),
        targets=np.array([each for *_, to in objects for each in to], dtype=np.uint32),
        roots=np.array(roots, dtype=np.uint32),
        addresses=np.array([address for address, *_ in objects], dtype=np.uint64),
    )


BY_HAND = graph(
    (2 * PAGE, 32, [1, 2]),  # page 2: both refer to page 4
    (4 * PAGE, 64, [0]),  # page 4
    (4 * PAGE + 2048, 8192, [2, 0, 1, 3]),  # pages 4, 5 and 6: references at its bytes 0, 2,048, 4,096 and 6,144
    (HUGE + PAGE, 16, [3]),  # the page after the first of the next 2 MiB: itself
)


def test_pages_and_what_is_on_them() -> None:
    found = locality(BY_HAND)
    assert (found.objects, found.references, found.size_bytes) == (4, 8, 32 + 64 + 8192 + 16)
    assert found.pages.tolist() == [[2, 2], [4, 6], [513, 513]]
    assert found.page_count == 5
    assert found.begun.tolist() == [2, 4, 513]
    assert found.objects_by_page.tolist() == [1, 2, 1]
    # The large one's references are at 2,048, 4,096, 6,144 and 8,192 behind the beginning of page 4.
    assert found.references_by_page.tolist() == [2, 2, 2, 1, 1]
    assert found.spanning == 1


def test_references_that_stay() -> None:
    found = locality(BY_HAND)
    assert found.on_page == 2, "the large one's first to itself, and the last object's"
    assert found.on_huge == 7, "all but the large one's last"


def test_the_bitmap_has_a_bit_for_16_bytes() -> None:
    span = 16 * 8 * PAGE
    at = [span - 16, span, 3 * span]
    assert locality(graph(*((each, 16, []) for each in at))).bitmap_pages == 3
    assert locality(graph((span, 16, []), (2 * span - 16, 16, []))).bitmap_pages == 1


def test_an_object_ends_where_the_next_one_begins() -> None:
    found = locality(graph((PAGE, 5 * PAGE, [1]), (PAGE + 64, 32, []), (9 * PAGE, 0, [])))
    assert found.pages.tolist() == [[1, 1], [9, 9]]
    assert found.spanning == 0


def test_one_that_ends_with_its_page_does_not_span() -> None:
    assert locality(graph((PAGE, PAGE, []))).spanning == 0
    assert locality(graph((PAGE + 1, PAGE, []))).spanning == 1


def test_without_addresses_objects_lie_breadth_first() -> None:
    bare = graph((1, 10, []), (2, 0, [3, 0]), (3, 40, []), (4, 17, [2]), (5, 8, []), roots=(1,))
    placed = breadth_first(bare)
    assert placed.addresses is not None
    # From 1 to 0 and 3, from 3 to 2; nothing reaches 4.
    assert (placed.addresses - placed.addresses[1]).tolist() == [16, 0, 64, 32, 112]


def test_a_graph_without_addresses_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="no addresses"):
        locality(attrs.evolve(BY_HAND, addresses=None))


def test_a_vast_object_takes_no_memory_for_its_pages() -> None:
    size = LARGEST_OBJECT_BYTES
    vast = graph((PAGE, 16, [1]), (2 * PAGE, size, [0] * 7))
    tracemalloc.start()
    try:
        found = locality(vast)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert found.pages.tolist() == [[1, 1 + size // PAGE]]
    assert found.page_count == 1 + size // PAGE
    assert found.references_by_page.tolist() == [1] * 8
