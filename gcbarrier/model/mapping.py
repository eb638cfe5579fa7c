"""A mapping that stays as it is, so that records that hold one can be keys."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """What a mapping held when this was made, in the same order.

    It equals any mapping with the same items, in whatever order, and mappings that are equal have the same hash: so
    1, 1.0 and True are the same value, as they are in a dict.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[K, V]) -> None:
        """A copy: what becomes of ``items`` later is not seen."""
        self._items = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenMapping):
            return bool(self._items == other._items)
        return self._items == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        # Not in __init__: what can't be hashed is for validators to tell.
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __or__(self, other: Mapping[K, V]) -> dict[K, V]:
        return self._items | dict(other)

    def __ror__(self, other: Mapping[K, V]) -> dict[K, V]:
        return dict(other) | self._items

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items,)


def frozen_mapping(given: Any) -> Any:
    """A converter for attrs: a mapping frozen, and anything else as it is, for a validator to refuse."""
    return given if isinstance(given, FrozenMapping) or not isinstance(given, Mapping) else FrozenMapping(given)


__all__ = ["FrozenMapping", "frozen_mapping"]
