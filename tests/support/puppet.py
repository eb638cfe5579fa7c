"""Scripts for the heap program ``puppet``, and a model heap of Python objects that obeys them as well.

A script is a list of operations of four numbers. Every list is a valid script (see ``mutator.c``), which is what lets
hypothesis cut one down to the operations that matter.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

GLOBALS = 8
NOBODY = 0xFFFF
"""The handle that stands for null."""
TOP = 0x8000
"""Handles from here on are counted from the newest."""

_MASK = (1 << 64) - 1
_GRANULE = 16


class Op(IntEnum):
    """As in ``mutator.c``; the meaning of the three numbers."""

    ALLOC = 0
    """references, raw bytes: pushes a handle"""
    STORE = 1
    """object, slot, value"""
    RAW = 2
    """object, word, number"""
    DROP = 3
    """handles, the newest of them"""
    SET = 4
    """handle, value"""
    GLOBAL = 5
    """global, value"""
    LOAD = 6
    """object, slot: pushes a handle"""
    FETCH = 7
    """global: pushes a handle"""
    GARBAGE = 8
    """objects, references, raw bytes"""
    CHAIN = 9
    """objects, references but one, raw bytes: pushes a handle"""
    FAN = 10
    """object, stride, value"""
    NAP = 11
    """microseconds"""
    FOLD = 12
    """makes what is reachable now a part of the checksum"""


Operation = tuple[int, int, int, int]
Script = Sequence[Operation]


def encode(script: Script) -> bytes:
    """The blob."""
    return np.array(script, dtype=np.uint64).reshape(-1, 4).tobytes()


class Thing:
    """An object: where it refers to, and its raw words that aren't zero."""

    __slots__ = ("raw", "references", "size", "slots", "words")

    def __init__(self, references: int, raw_bytes: int) -> None:
        self.references = references
        self.size = (8 * (1 + references) + raw_bytes + _GRANULE - 1) // _GRANULE * _GRANULE
        self.words = self.size // 8 - 1 - references
        self.slots: dict[int, Thing] = {}
        self.raw: dict[int, int] = {}


class Model:
    """The heap as it should be: without memory, and so without a collector."""

    def __init__(self) -> None:
        self.globals: list[Thing | None] = [None] * GLOBALS
        self.handles: list[Thing | None] = []
        self.sum = 0

    def obey(self, operation: Operation) -> None:
        """Do what the puppet does."""
        op, a, b, c = operation
        thing = self._held(a)
        match Op(op):
            case Op.ALLOC:
                self.handles.append(Thing(a, b))
            case Op.STORE:
                if thing and thing.references:
                    self._store(thing, b % thing.references, self._held(c))
            case Op.RAW:
                if thing and thing.words:
                    thing.raw[b % thing.words] = c
            case Op.DROP:
                del self.handles[len(self.handles) - a % (len(self.handles) + 1) :]
            case Op.SET:
                if self.handles:
                    self.handles[self._index(a)] = self._held(b)
            case Op.GLOBAL:
                self.globals[a % GLOBALS] = self._held(b)
            case Op.LOAD:
                if thing and thing.references:
                    self.handles.append(thing.slots.get(b % thing.references))
            case Op.FETCH:
                self.handles.append(self.globals[a % GLOBALS])
            case Op.CHAIN:
                self.handles.append(self._chain(a, b + 1, c))
            case Op.FAN:
                if thing:
                    value = self._held(c)
                    for slot in range(0, thing.references, 1 + b % 64):
                        self._store(thing, slot, value)
            case Op.FOLD:
                self.fold_graph()
            case Op.GARBAGE | Op.NAP:
                pass

    def reachable(self) -> list[Thing]:
        """What the roots reach, in the order in which the checksum meets it."""
        met: dict[Thing, None] = dict.fromkeys(root for root in (*self.globals, *self.handles) if root)
        order = list(met)
        for thing in order:
            for _, target in sorted(thing.slots.items(), key=lambda item: item[0]):
                if target not in met:
                    met[target] = None
                    order.append(target)
        return order

    def fold_graph(self) -> None:
        """Fold everything reachable into the sum."""
        order = self.reachable()
        numbers: dict[Thing | None, int] = {thing: number for number, thing in enumerate(order, start=1)}
        numbers[None] = 0
        words = [numbers[root] for root in (*self.globals, *self.handles)]
        for thing in order:
            words += [thing.references, thing.size]
            for slot in sorted(thing.slots):
                words += [slot, numbers[thing.slots[slot]]]
            for word in sorted(thing.raw):
                if thing.raw[word]:
                    words += [word, thing.raw[word]]
        words.append(len(order))
        total = self.sum
        for word in words:
            total = (((total << 7 | total >> 57) ^ word) * 0x9E3779B97F4A7C15) & _MASK
        self.sum = total

    def _index(self, handle: int) -> int:
        top = len(self.handles)
        return handle % top if handle < TOP else top - 1 - (handle - TOP) % top

    def _held(self, handle: int) -> Thing | None:
        return None if handle == NOBODY or not self.handles else self.handles[self._index(handle)]

    @staticmethod
    def _store(thing: Thing, slot: int, value: Thing | None) -> None:
        if value is None:
            thing.slots.pop(slot, None)
        else:
            thing.slots[slot] = value

    def _chain(self, length: int, references: int, raw_bytes: int) -> Thing | None:
        newest: Thing | None = None
        for number in range(1, length + 1):
            link = Thing(references, raw_bytes)
            self._store(link, references - 1, newest)
            if link.words:
                link.raw[link.words - 1] = number
            newest = link
        return newest


def asks_for(operation: Operation) -> int:
    """Bytes that stay allocated after ``operation`` at most."""
    op, a, b, c = operation
    if op == Op.ALLOC:
        return Thing(a, b).size
    return a * Thing(b + 1, c).size if op == Op.CHAIN else 0


def fitted(script: Script, live_bytes: int) -> tuple[list[Operation], int]:
    """``script`` without what would keep more than ``live_bytes`` alive, and the model's checksum of that."""
    model, kept, bound = Model(), [], 0
    for operation in script:
        asked = asks_for(operation)
        if asked and bound + asked > live_bytes:
            bound = sum(thing.size for thing in model.reachable())  # exact again
            if bound + asked > live_bytes:
                continue
        bound += asked
        model.obey(operation)
        kept.append(operation)
    model.fold_graph()
    return kept, model.sum
