"""Write all objects of this interpreter down, from within it: no other thread of it runs meanwhile.

Objects that the collector tracks are its own list's; what it does not (texts, numbers, tuples of those, code) is found
from them. An object is walked once: a bit for each 8 bytes of address space tells, 1 KiB for each 64 KiB that has
objects, and lists of 8 bytes an object are the rest of what this needs. Nothing of the program's own is called: sizes
are those of the C methods alone. What this has made, and the module that loaded it, is left out.

The stream (``graphs/importers/cpython.py`` reads it), all numbers uint64, little-endian::

    "gcbarrier python heap 1\\n"
    length, and so many bytes of text, a multiple of 8: `version` and `age`, of the process in seconds, a line each
    any number of pieces: n > 0, m; then n each of keys, addresses, sizes, counts, degrees; then m keys referred to
    0; how many objects, and references, there were in all pieces

A key is what an object is known by, its ``id``. Its address is where its memory begins: before the key lie the
collector's header (16 bytes) and, from 3.11 on, two pointers of objects with a dictionary. What a list, a dict, a set,
a bytearray or an array.array keep elsewhere is an object of its own, as it is in memory: the owner refers to it, and it
to what the owner holds. A count is the object's reference count, without this module's own.
"""

import ctypes
import gc
import os
import signal
import sys
import time
from array import array
from types import CodeType, ModuleType

MAGIC = b"gcbarrier python heap 1\n"
PIECE = 1 << 13
"""Objects at a time."""
DICT = 32
HAVE_GC, HEAP_TYPE, MANAGED = 1 << 14, 1 << 9, 3 << 3 if sys.version_info >= (3, 12) else 1 << 4
CODE = ("co_consts", "co_names", "co_filename", "co_name", "co_qualname", "co_linetable", "co_exceptiontable")
"""What a code object holds and does not tell the collector of."""

_mro = type.__dict__["__mro__"].__get__
_flags = type.__dict__["__flags__"].__get__
_basic = type.__dict__["__basicsize__"].__get__
_dict = type.__dict__["__dict__"].__get__
_descriptor = type(object.__sizeof__)


class Shapes:
    """What is known of each type: bytes before an object, how to measure it, and where it keeps what lies elsewhere."""

    def __init__(self):
        self.known = {}
        # Offsets of pointers in the structures of CPython 3.8 to 3.14.
        self.parts = [(list, 24), (dict, DICT), (set, 40), (frozenset, 40), (bytearray, 32), (array, 24)]

    def of(self, cls):
        found = self.known.get(cls)
        if found is None:
            found = self.known[cls] = self.look(cls)
        return found

    def look(self, cls):
        flags, mro = _flags(cls), _mro(cls)
        before = 16 if flags & HAVE_GC else 0
        if sys.version_info >= (3, 11) and flags & MANAGED:
            before += 16
        methods = [_dict(each)["__sizeof__"] for each in mro if "__sizeof__" in _dict(each)]
        if type(methods[0]) is _descriptor:
            measure = None
        else:  # the program's own is not to be called
            measure = next(each for each in methods if type(each) is _descriptor)
        pointer = next((offset for base, offset in self.parts if base in mro), 0)
        return before, measure, pointer, _basic(cls), type in mro


class Bits:
    """A set of addresses of objects."""

    def __init__(self):
        self.pages = {}

    def add(self, address):
        """Whether it is new in the set."""
        bits = self.pages.get(address >> 16)
        if bits is None:
            bits = self.pages[address >> 16] = bytearray(1 << 10)
        byte, bit = address >> 6 & 1023, 1 << (address >> 3 & 7)
        if bits[byte] & bit:
            return False
        bits[byte] |= bit
        return True


def _own(mine):
    """The ids of the tracked objects that the loading module, and what of it waits elsewhere, consists of."""
    shared = {id(sys.modules), id(sys.modules["builtins"].__dict__), id(sys.__dict__)}
    own, todo = set(), list(mine)
    while todo:
        each = todo.pop()
        if id(each) in own or id(each) in shared or not gc.is_tracked(each):
            continue
        if type in _mro(type(each)) or (type(each) is ModuleType and each is not mine[0]):
            continue
        own.add(id(each))
        todo.extend(gc.get_referents(each))
    return own


def _age_s(stat):
    """How long the process of this ``/proc/PID/stat`` has been there, to a hundredth of a second."""
    began = int(stat.rpartition(b")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def _texts(each, key, told):
    """The keys of a dict, where all are texts: then the collector is not told of them.

    Not those of a table that instances share.
    """
    if told >= 2 * dict.__len__(each) or ctypes.c_size_t.from_address(key + 40).value:
        return []
    return list(dict.keys(each))


def _elsewhere(key, pointer):
    """Where an object keeps its parts, by the pointer at an offset in it; 0 where that is not one piece of memory."""
    word = ctypes.c_size_t.from_address
    if pointer == DICT:  # of one whose keys are shared, the values
        values = word(key + 40).value
        if values:
            return values if sys.version_info < (3, 11) else 0
    return word(key + pointer).value


def write(held, mine, stat, path):
    """Write all objects: those that were ``held`` before this was loaded, and what is found from them.

    ``stat`` is the program's, which this may be a fork of.
    """
    own, age = _own(mine), _age_s(stat)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32)) - {9, 19})
    try:
        text = "version {}\nage {:.2f}\n".format(sys.version.split()[0], age).encode()
        text += b" " * (-len(text) % 8)
        with open(path + ".part", "wb") as out:
            out.write(MAGIC + len(text).to_bytes(8, "little") + text)
            array("Q", _walk(held.pop(), own, out)).tofile(out)
        os.rename(path + ".part", path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _walk(objects, own, out):
    """All pieces; returns what ends the stream."""
    new = Bits().add
    for each in own:
        new(each)
    # Two of a kind can't be: the collector's list has each once.
    for each in objects:
        new(id(each))
    shapes = Shapes()
    getrefcount, getsizeof, get_referents, is_tracked = sys.getrefcount, sys.getsizeof, gc.get_referents, gc.is_tracked
    columns = keys, addresses, sizes, counts, degrees = [array("Q") for _ in range(5)]
    targets = array("Q")
    base, objects_written, references_written = -1, 0, 0
    each = None
    # The first is held by this list alone, so its count is what being looked at here adds to one.
    objects.insert(0, object())
    batch = objects
    while batch:
        found = []
        for each in batch:
            count = getrefcount(each)
            if base < 0:
                base = count
                continue
            key = id(each)
            if key in own:
                continue
            before, measure, pointer, basic, is_type = shapes.of(type(each))
            if is_type and not _flags(each) & HEAP_TYPE:
                before = 0  # of C's own types none is the collector's
            try:
                size = getsizeof(each) if measure is None else measure(each) + before
            except Exception:
                size = basic + before
            referents = get_referents(each)
            if pointer == DICT:
                referents += _texts(each, key, len(referents))
            elif type(each) is CodeType and not referents:
                referents = [getattr(each, name) for name in CODE if hasattr(each, name)]
            part = 0
            if pointer and size > before + basic:
                part = _elsewhere(key, pointer)
                if part and not new(part):
                    part = 0
            keys.append(key)
            addresses.append(key - before)
            sizes.append(before + basic if part else size)
            counts.append(max(0, count - base))
            if part:
                degrees.append(1)
                targets.append(part)
                keys.append(part)
                addresses.append(part)
                sizes.append(size - before - basic)
                counts.append(0)
            degrees.append(len(referents))
            targets.extend(map(id, referents))
            for other in referents:
                # One that is tracked and not in the list is ours.
                if new(id(other)) and not is_tracked(other):
                    found.append(other)
            referents, other = [], None
            if len(keys) >= PIECE:
                objects_written += len(keys)
                references_written += len(targets)
                _piece(out, columns, targets)
        batch = found
    objects_written += len(keys)
    references_written += len(targets)
    if keys:
        _piece(out, columns, targets)
    return 0, objects_written, references_written


def _piece(out, columns, targets):
    for numbers in (array("Q", (len(columns[0]), len(targets))), *columns, targets):
        numbers.tofile(out)
        del numbers[:]
