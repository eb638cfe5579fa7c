"""Classes: what fields their objects have, which of these refer to something, and what a class itself refers to.

An object's fields come in the order of its class, then of that one's superclass, and so on. A class is an object,
too: it refers to its superclass, its loader, its signers, its protection domain and what its static fields refer to.
"""

import struct
from array import array

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.hprof.records import BASIC_BYTES, REFERENCE, Loaded, Text
from gcbarrier.graphs.unfit import Unfit

MOST_CLASSES = 1 << 20
"""Ten times those of the largest programs. Each takes some memory of Python's, so a dump can't have any number."""

_DEEPEST = 1024  # superclasses of a class; real ones have about ten

_KEEPS_NOTHING_ALIVE = {b"java/lang/ref/WeakReference", b"java/lang/ref/PhantomReference"}
_REFERENCE_CLASS, _CLASS_CLASS, _REFERENT = b"java/lang/ref/Reference", b"java/lang/Class", b"referent"
_NAMES = _KEEPS_NOTHING_ALIVE | {_REFERENCE_CLASS, _CLASS_CLASS, _REFERENT}


@attrs.frozen(kw_only=True)
class Dumped:
    """A class as it stands in the dump."""

    id: int
    super_id: int
    refers_to: "array[int]"
    static_references: int
    static_bytes: int  # of the others
    types: bytes  # of its own instance fields
    referent: int  # the number of its field of that name, or -1


@attrs.frozen(kw_only=True)
class Shape:
    """Of the objects of a class, all its superclasses' fields included."""

    references: int
    numbers_bytes: int
    body_bytes: int  # in the dump


class Classes:
    """The classes of a dump, as they come; afterwards, what they say about objects."""

    def __init__(self, id_bytes: int) -> None:
        self.dumped: dict[int, Dumped] = {}
        self._id_bytes = id_bytes
        self._names: dict[int, bytes] = {}  # id of a text -> the text, of those that matter
        self._named: dict[int, bytes] = {}  # id of a class -> its name, likewise
        self._shapes: dict[int, Shape] = {}

    def text(self, record: Text) -> None:
        """Keep a name that matters."""
        name = record.text.replace(b".", b"/")
        if name in _NAMES and len(self._names) < MOST_CLASSES:
            self._names[record.id] = name

    def loaded(self, record: Loaded) -> None:
        """Keep a class whose name matters."""
        if record.name_id in self._names and len(self._named) < MOST_CLASSES:
            self._named[record.class_id] = self._names[record.name_id]

    def add(self, data: bytes, at: int) -> Dumped:
        """The class whose record begins at ``at``, as a whole."""
        width = self._id_bytes
        letter = "Q" if width == 8 else "I"
        class_id, super_id, loader, signers, domain = struct.unpack_from(f">{letter}4x4{letter}", data, at + 1)
        at += 9 + 7 * width
        refers_to = array("Q", [super_id, loader, signers, domain])
        (constants,) = struct.unpack_from(">H", data, at)
        at += 2
        for _ in range(constants):
            at += 3 + self._width(data[at + 2])
        (statics,) = struct.unpack_from(">H", data, at)
        at += 2
        static_references = static_bytes = 0
        for _ in range(statics):
            kind = data[at + width]
            at += width + 1
            if kind == REFERENCE:
                refers_to.append(int.from_bytes(data[at : at + width]))
                static_references += 1
            else:
                static_bytes += BASIC_BYTES[kind]
            at += self._width(kind)
        (fields,) = struct.unpack_from(">H", data, at)
        at += 2
        names = [int.from_bytes(data[i : i + width]) for i in range(at, at + fields * (width + 1), width + 1)]
        types = data[at + width : at + fields * (width + 1) : width + 1]
        for kind in set(types) - {REFERENCE, *BASIC_BYTES}:
            raise Unfit(f"a class has a field of type {kind}")
        referents = [i for i, name in enumerate(names) if self._names.get(name) == _REFERENT and types[i] == REFERENCE]
        found = Dumped(
            id=class_id,
            super_id=super_id,
            refers_to=refers_to,
            static_references=static_references,
            static_bytes=static_bytes,
            types=types,
            referent=referents[0] if referents else -1,
        )
        if class_id in self.dumped:
            raise Unfit(f"the class {class_id:#x} stands there twice")
        if len(self.dumped) >= MOST_CLASSES:
            raise Unfit(f"it has more than {MOST_CLASSES} classes")
        self.dumped[class_id] = found
        return found

    def lineage(self, class_id: int) -> list[Dumped]:
        """A class and its superclasses, itself first. Raises Unfit where one isn't there or is its own."""
        found: list[Dumped] = []
        while class_id or not found:
            if class_id not in self.dumped:
                raise Unfit(f"nothing says what class {class_id:#x} is, which has objects or subclasses")
            if len(found) == _DEEPEST:
                raise Unfit(f"class {found[0].id:#x} has more than {_DEEPEST} superclasses, or is one of its own")
            found.append(self.dumped[class_id])
            class_id = found[-1].super_id
        return found

    def shape(self, class_id: int) -> Shape:
        """What the objects of a class consist of."""
        if class_id not in self._shapes:
            references = numbers = 0
            for each in reversed(self.lineage(class_id)):
                if each.id not in self._shapes:  # each class's fields are counted once, whoever has it as a superclass
                    references += each.types.count(REFERENCE)
                    numbers += sum(each.types.count(kind) * width for kind, width in BASIC_BYTES.items())
                    body = numbers + references * self._id_bytes
                    self._shapes[each.id] = Shape(references=references, numbers_bytes=numbers, body_bytes=body)
                shape = self._shapes[each.id]
                references, numbers = shape.references, shape.numbers_bytes
        return self._shapes[class_id]

    def references(self, class_id: int) -> npt.NDArray[np.int64]:
        """Where in the body of an object those fields stand that keep something alive, in bytes."""
        lineage = self.lineage(class_id)
        weak = any(self._named.get(each.id) in _KEEPS_NOTHING_ALIVE for each in lineage)
        found: list[npt.NDArray[np.int64]] = []
        begin = 0
        for each in lineage:
            kinds = np.frombuffer(each.types, dtype=np.uint8)
            ends = np.cumsum(self._widths()[kinds])
            kept = kinds == REFERENCE
            if weak and each.referent >= 0 and self._named.get(each.id) == _REFERENCE_CLASS:
                kept[each.referent] = False
            found.append(begin + ends[kept] - self._id_bytes)
            begin += int(ends[-1]) if len(ends) else 0
        return np.concatenate(found)

    def class_of_classes(self) -> Shape:
        """What a class consists of, as an object of java.lang.Class; nothing where the dump does not say."""
        for class_id, name in self._named.items():
            if name == _CLASS_CLASS and class_id in self.dumped:
                return self.shape(class_id)
        return Shape(references=0, numbers_bytes=0, body_bytes=0)

    def _width(self, kind: int) -> int:
        return self._id_bytes if kind == REFERENCE else BASIC_BYTES[kind]

    def _widths(self) -> npt.NDArray[np.int64]:
        widths = np.zeros(256, dtype=np.int64)
        for kind in (REFERENCE, *BASIC_BYTES):
            widths[kind] = self._width(kind)
        return widths
