"""Kinds of objects: a number for each class, and what all objects of a kind have in common, in tables by that number.

The numbers below 16 are arrays by the type of their elements. Above, each class has two: that of its objects, and that
of itself as an object.
"""

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.hprof.classes import MOST_CLASSES, Classes
from gcbarrier.graphs.hprof.records import Ids
from gcbarrier.graphs.hprof.sizes import Parts
from gcbarrier.graphs.unfit import Unfit

_FIRST = 16

_Integers = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class Tables:
    """By kind. ``slots`` are an object's references, of others than arrays.

    For objects of class ``i``, ``fields[starts[i]:starts[i + 1]]`` is where these stand, in bytes from the first field.
    """

    parts: Parts
    slots: _Integers
    starts: _Integers
    fields: npt.NDArray[np.uint32]


class Kinds:
    """The numbers of classes, as they are met."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def classes(self, class_ids: Ids) -> _Integers:
        """Number of each class, from 0 on."""
        different, where = np.unique(class_ids, return_inverse=True)
        numbers = [self._numbers.setdefault(each, len(self._numbers)) for each in different.tolist()]
        if len(self._numbers) > MOST_CLASSES:
            raise Unfit(f"it has more than {MOST_CLASSES} classes")
        return np.array(numbers, dtype=np.int64)[where]

    def of_objects(self, class_ids: Ids) -> _Integers:
        """Kinds of objects of these classes."""
        return _FIRST + 2 * self.classes(class_ids)

    def of_classes(self, class_ids: Ids) -> _Integers:
        """Kinds of these classes themselves."""
        return _FIRST + 2 * self.classes(class_ids) + 1

    def bodies(self, classes: Classes, there: npt.NDArray[np.bool_]) -> _Integers:
        """By kind, bytes of an object's fields in the dump, of others than arrays.

        ``there`` says of each number whether the heap has objects of it. Raises Unfit where nothing says what a class
        is.
        """
        bodies = np.zeros(self.count, dtype=np.int64)
        for class_id, number in self._numbers.items():
            if there[_FIRST + 2 * number]:
                bodies[_FIRST + 2 * number] = classes.shape(class_id).body_bytes
        return bodies

    def tables(self, classes: Classes, there: npt.NDArray[np.bool_]) -> Tables:
        """What the kinds have in common, once objects are known to have ``bodies``.

        Not before: a class lists its superclasses' fields, too, so many classes of a small dump may have many each.
        Where an object of each has them all, there is no more of them than of the dump.
        """
        own = classes.class_of_classes()
        references, numbers_bytes, slots = (np.zeros(self.count, dtype=np.int64) for _ in range(3))
        fields: list[npt.NDArray[np.uint32]] = []
        for class_id, number in self._numbers.items():
            kind = _FIRST + 2 * number
            if there[kind]:
                shape = classes.shape(class_id)
                references[kind], numbers_bytes[kind] = shape.references, shape.numbers_bytes
                fields.append(classes.references(class_id).astype(np.uint32))
                slots[kind] = len(fields[-1])
            if there[kind + 1]:
                dumped = classes.dumped[class_id]
                references[kind + 1] = own.references + dumped.static_references
                numbers_bytes[kind + 1] = own.numbers_bytes + dumped.static_bytes
                slots[kind + 1] = len(dumped.refers_to)
        return Tables(
            parts=Parts(references=references, numbers_bytes=numbers_bytes),
            slots=slots,
            starts=np.concatenate(([0], np.cumsum(slots[_FIRST::2]))),
            fields=np.concatenate([*fields, np.zeros(0, dtype=np.uint32)]),
        )

    @property
    def count(self) -> int:
        """All kinds that there are by now."""
        return _FIRST + 2 * len(self._numbers)


def is_object(kinds: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Of each kind whether it is no array's."""
    return kinds >= _FIRST
