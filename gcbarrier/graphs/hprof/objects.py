"""All objects of a dump, as it is read for the first time: where, of what kind, how long."""

import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.hprof.classes import Classes
from gcbarrier.graphs.hprof.filling import Filling
from gcbarrier.graphs.hprof.kinds import Kinds, is_object
from gcbarrier.graphs.hprof.records import REFERENCE, Batch, Elements, Ids, Loaded, Record, Text
from gcbarrier.graphs.hprof.sizes import Layout, sized
from gcbarrier.graphs.linked import NOTHING, Column, Links
from gcbarrier.graphs.unfit import Unfit

_PIECE = 1 << 20


class Objects:
    """16 bytes for each of them, and what the classes say."""

    def __init__(self, id_bytes: int) -> None:
        self._id_bytes = id_bytes
        self._classes = Classes(id_bytes)
        self._kinds = Kinds()
        self._at = Column(np.uint64)
        self._of = Column(np.uint32)
        self._long = Column(np.uint32)  # elements of an array; of others, bytes of their fields in the dump
        self._roots = Column(np.uint64)

    def note(self, record: Record) -> None:
        """Take from ``record`` what is needed of it before the second reading."""
        if isinstance(record, Text):
            self._classes.text(record)
        elif isinstance(record, Loaded):
            self._classes.loaded(record)
        elif isinstance(record, Batch):
            self._note(record)
        elif isinstance(record, Elements) and record.first == 0:
            self._add(np.array([record.array_id], dtype=np.uint64), REFERENCE, np.array([record.length]))

    def roots(self) -> Ids:
        """What the dump calls roots, and all classes."""
        return np.unique(np.concatenate([self._roots.taken(), np.array(list(self._classes.dumped), dtype=np.uint64)]))

    def sorted_by_address(self) -> tuple[Filling, npt.NDArray[np.uint64], Layout]:
        """Room for all references, to be filled by the second reading; the objects' sizes, and how they are laid out.

        Raises Unfit where two objects have one id, and where one is not what its class says.
        """
        addresses, kinds, lengths = self._columns()
        there = np.zeros(self._kinds.count, dtype=np.bool_)
        there[kinds] = True
        pieces = [slice(start, start + _PIECE) for start in range(0, len(addresses), _PIECE)]
        bodies = self._kinds.bodies(self._classes, there)
        for here in pieces:
            wrong = np.flatnonzero(is_object(kinds[here]) & (bodies[kinds[here]] != lengths[here]))
            if len(wrong):
                raise Unfit(f"object {int(addresses[here][wrong[0]]):#x} has other fields than its class")
        tables = self._kinds.tables(self._classes, there)
        slots = np.empty(len(addresses), dtype=np.uint64)
        for here in pieces:
            slots[here] = np.where(kinds[here] == REFERENCE, lengths[here], tables.slots[kinds[here]])
        sizes_bytes, layout = sized(addresses, kinds, lengths, tables.parts, self._id_bytes)
        del kinds, lengths
        filling = Filling(
            id_bytes=self._id_bytes, classes=self._classes, kinds=self._kinds, tables=tables,
            links=Links(addresses, slots),
        )  # fmt: skip
        return filling, sizes_bytes, layout

    def _columns(self) -> tuple[Ids, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """What was noted, in order of addresses, which are checked."""
        addresses = self._at.taken()
        if not 0 < len(addresses) < NOTHING:
            raise Unfit(f"it has {len(addresses)} objects, and at least one and fewer than 2^32 - 1 are needed")
        order = np.argsort(addresses)
        addresses = addresses[order]
        kinds = self._of.taken()[order]
        lengths = self._long.taken()[order]
        if addresses[0] == 0:
            raise Unfit("it has an object with the id 0")
        twice = np.flatnonzero(addresses[1:] == addresses[:-1])
        if len(twice):
            raise Unfit(f"two of its objects have the id {int(addresses[twice[0]]):#x}")
        return addresses, kinds, lengths

    def _note(self, batch: Batch) -> None:
        width = self._id_bytes
        at = batch.instances
        kinds = self._kinds.of_objects(batch.ids(at + 5 + width))
        self._add(batch.ids(at + 1), kinds, batch.counts(at + 5 + 2 * width))
        at = batch.object_arrays
        self._add(batch.ids(at + 1), REFERENCE, batch.counts(at + 5 + width))
        at = batch.primitive_arrays
        types = np.frombuffer(batch.data, dtype=np.uint8)[at + 9 + width]
        self._add(batch.ids(at + 1), types, batch.counts(at + 5 + width))
        self._roots.add(np.unique(batch.ids(batch.roots + 1)))
        for position in batch.classes.tolist():
            self._classes.add(batch.data, position)
        ids = batch.ids(batch.classes + 1)
        self._add(ids, self._kinds.of_classes(ids), np.zeros(len(ids), dtype=np.int64))

    def _add(self, addresses: Ids, kinds: npt.ArrayLike, lengths: npt.NDArray[np.int64]) -> None:
        self._at.add(addresses)
        self._of.add(np.broadcast_to(np.asarray(kinds), addresses.shape))
        self._long.add(lengths)
