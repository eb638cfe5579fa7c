"""Combinations for each pair: all pairs, few rows, always the same ones."""

import itertools
from typing import Any

import pytest
from pairwise import combined, covering, pairs

SHAPES = [
    [["a"]],
    [["a", "b"], [1, 2, 3]],
    [[0, 1], [0, 1], [0, 1]],
    [list("abcde"), list("fghijklmnopq"), list("rst"), list("uvw")],
    [list("ab"), list("cd"), list("ef"), list("gh"), list("ij"), list("kl")],
]


def all_pairs(factors: list[list[Any]]) -> set[Any]:
    """Written down once more, factor by factor."""
    found = set()
    for (i, left), (j, right) in itertools.combinations(enumerate(factors), 2):
        found |= {(i, x, j, y) for x in left for y in right}
    return found


@pytest.mark.parametrize("factors", SHAPES, ids=lambda factors: "x".join(str(len(each)) for each in factors))
def test_every_pair_is_there(factors: list[list[Any]]) -> None:
    rows = covering(factors)
    assert {pair for row in rows for pair in pairs(row)} == all_pairs(factors)
    assert len(set(rows)) == len(rows)
    assert rows == covering(factors)


def test_it_is_far_fewer_than_the_product() -> None:
    two_largest = 5 * 12
    assert len(covering(SHAPES[3])) <= two_largest * 1.1 < 5 * 12 * 3 * 3 / 8
    assert len(covering(SHAPES[4])) <= 10, "of 64"


def test_values_share_the_rows() -> None:
    """So that pairs are still covered where one value's tests are skipped, as a barrier's that this kernel lacks."""
    heaps, barriers, builds, mutators = factors = SHAPES[3]
    rows = covering(factors)
    for which, values in ((2, builds), (3, mutators)):
        counts = [sum(row[which] == value for row in rows) for value in values]
        assert max(counts) <= 1.5 * min(counts), counts
    everything = all_pairs(factors)
    for barrier in barriers:
        found = {pair for row in rows if row[1] != barrier for pair in pairs(row)}
        assert {pair for pair in everything - found if barrier not in pair} == set(), barrier
    assert len(heaps) == 5
    assert len(mutators) == 3


def test_what_is_not_allowed_is_neither_chosen_nor_missed() -> None:
    factors = [["none", "cards"], [1, 2, 3], ["plain", "asan"]]
    rows = covering(factors, lambda barrier, markers, _build: barrier == "none" or markers == 1)
    assert {row[1] for row in rows if row[0] == "cards"} == {1}
    found = {pair for row in rows for pair in pairs(row)}
    assert all_pairs(factors) - found == {(0, "cards", 1, 2), (0, "cards", 1, 3)}


def test_the_whole_product_is_there_and_the_rest_is_marked() -> None:
    factors = {"heap": "abc", "barrier": "def", "build": "gh"}
    mark = combined(**factors)
    names, params = mark.args
    assert names == ("heap", "barrier", "build")
    assert [each.values for each in params] == list(itertools.product(*factors.values()))
    usual = [each.values for each in params if not each.marks]
    assert usual == covering(list(factors.values()))
    assert {mark.name for each in params for mark in each.marks} == {"whole"}
