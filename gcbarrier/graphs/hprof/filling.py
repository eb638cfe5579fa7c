"""What objects refer to, as the dump is read for the second time, when it is known where objects are."""

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.hprof.classes import Classes
from gcbarrier.graphs.hprof.kinds import Kinds, Tables
from gcbarrier.graphs.hprof.records import Batch, Elements, Ids, Record
from gcbarrier.graphs.linked import Links
from gcbarrier.graphs.unfit import Unfit

_Integers = npt.NDArray[np.int64]

_CHANGED = "it is no longer what it was when it was read for the first time"


@attrs.frozen(kw_only=True, eq=False)
class Filling:
    """Fills ``links``, an object's slots in the order of its fields."""

    id_bytes: int
    classes: Classes
    kinds: Kinds
    tables: Tables
    links: Links

    def fill(self, record: Record) -> None:
        """What the objects in ``record`` refer to. Raises Unfit where they were not there the first time."""
        if isinstance(record, Batch):
            self._instances(record)
            self._arrays(record)
            self._classes(record)
        elif isinstance(record, Elements):
            ids = np.array([record.array_id], dtype=np.uint64)
            self._fill(ids, np.array([len(record.ids)]), record.ids, record.first)

    def _instances(self, batch: Batch) -> None:
        at, width = batch.instances, self.id_bytes
        numbers = self.kinds.classes(batch.ids(at + 5 + width))
        if len(numbers) and numbers.max() >= len(self.tables.starts) - 1:
            raise Unfit(_CHANGED)
        starts = self.tables.starts[numbers]
        counts = self.tables.starts[numbers + 1] - starts
        some = counts > 0
        at, starts, counts = at[some], starts[some], counts[some]
        fields = self.tables.fields[_ranges(starts, counts)]
        places = np.repeat(at + 9 + 2 * width, counts) + fields
        if len(places) and places.max() + width > len(batch.data):
            raise Unfit(_CHANGED)
        self._fill(batch.ids(at + 1), counts, batch.ids(places))

    def _arrays(self, batch: Batch) -> None:
        at, width = batch.object_arrays, self.id_bytes
        counts = batch.counts(at + 5 + width)
        places = np.repeat(at + 9 + 2 * width, counts) + _ranges(np.zeros_like(counts), counts) * width
        self._fill(batch.ids(at + 1), counts, batch.ids(places))

    def _classes(self, batch: Batch) -> None:
        for class_id in batch.ids(batch.classes + 1).tolist():
            if class_id not in self.classes.dumped:
                raise Unfit(_CHANGED)
            held = np.array(self.classes.dumped[class_id].refers_to, dtype=np.uint64)
            self._fill(np.array([class_id], dtype=np.uint64), np.array([len(held)]), held)

    def _fill(self, ids: Ids, counts: _Integers, held: Ids, first: int = 0) -> None:
        if not self.links.fill(self.links.nodes(ids), counts, held, first):
            raise Unfit(_CHANGED)


def _ranges(starts: _Integers, counts: _Integers) -> _Integers:
    """From each start on so many numbers, one range after the other."""
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
