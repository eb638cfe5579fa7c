"""Combinations that cover each pair: of any two factors every two values meet in at least one test.

Most mistakes that combinations show need two factors to meet, not three. What else the product has is run by
``pytest --whole``.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from kinds import WHOLE

Row = tuple[Any, ...]
Pair = tuple[int, Any, int, Any]


def covering(factors: Sequence[Sequence[Any]], allowed: Callable[..., bool] = lambda *_: True) -> list[Row]:
    """The fewest rows of the factors' product that a greedy search finds to cover every pair; always the same ones.

    ``allowed`` takes a row and says whether there is such a combination; pairs in none of those are left out.
    """
    product = [row for row in itertools.product(*factors) if allowed(*row)]
    met = dict.fromkeys((pair for row in product for pair in pairs(row)), 0)
    chosen = []

    def worth(row: Row) -> tuple[int, int]:
        """How many pairs it adds; of rows that add as many, the one whose pairs have met least: where two large
        factors decide how many rows there are, the others' values shall share them.
        """
        counts = [met[pair] for pair in pairs(row)]
        return counts.count(0), -sum(counts)

    while not all(met.values()):
        best = max(product, key=worth)
        for pair in pairs(best):
            met[pair] += 1
        chosen.append(best)
    # In the product's order, so that neighbours share what is compiled.
    return [row for row in product if row in chosen]


def pairs(row: Row) -> list[Pair]:
    """Any two factors' values in it; a factor by its position."""
    return [(i, row[i], j, row[j]) for i, j in itertools.combinations(range(len(row)), 2)]


def combined(*, allowed: Callable[..., bool] = lambda *_: True, **factors: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrize a test with the whole product, of which a usual run takes what covers each pair."""
    values = [list(each) for each in factors.values()]
    usual = covering(values, allowed)
    rows = [row for row in itertools.product(*values) if allowed(*row)]
    params = [pytest.param(*row, marks=() if row in usual else getattr(pytest.mark, WHOLE)) for row in rows]
    return pytest.mark.parametrize(tuple(factors), params)
