"""The phases of a cycle under sticky mark bits (Demers et al. 1990): old objects stay marked from cycle to cycle."""

from gcbarrier.core.library import Space
from gcbarrier.model import Barrier


class Sticky(Space):
    """What :class:`gcbarrier.core.heap.Heap` has for generational collectors."""

    promises: Barrier
    waits = 0
    """Cycles under sticky marks that began while a mutator waited for memory, since nobody did at the beginning of one
    that followed upon a full one, or so much was allocated between two as half of what was free."""
    _minor = False

    def _count_waits(self) -> None:
        full, seen = not self._minor, self.generation()
        self._minor = bool(seen["minor"])
        if (full and not seen["waited_for"]) or 2 * seen["young"] >= self.size_bytes - seen["live"]:
            self.waits = 0
        self.waits += seen["waited_for"]

    def stick(self, survivals: int) -> bool:
        """Let marks stick from now on (Demers et al. 1990); whether they have stuck since the last cycle.

        Where they have, this is a minor cycle: objects that have lived through ``survivals`` cycles, 1 or 2, are marked
        already, and the barrier has been armed since. Called in each cycle, before its first phase; the number stays
        what it was at first. Raises GcBarrierError otherwise, and over a barrier that doesn't tell where was written.
        """
        self._check(self._lib.gcb_stick(self._space, survivals))
        return bool(self.generation()["minor"])

    def forget_marks(self) -> None:
        """No object is old: this cycle looks at all of them, and what it finds is old by and by."""
        self._check(self._lib.gcb_forget_marks(self._space))
        self._minor = False

    def remember(self) -> int:
        """Take what was written since the last cycle, and mark from the old objects there, while mutators run.

        In place of :meth:`gcbarrier.core.heap.Heap.arm` where marks stick, also in a cycle that looks at everything;
        the granules looked at. What is allocated meanwhile is not black yet (``allocate_black``). A barrier that can't
        re-arm atomically does so in a pause of the kind ``rearm``.
        """
        return self._check(self._lib.gcb_remember(self._space, not self.promises.atomic))

    def minor(self) -> None:
        """A pause in which everything is marked that is not old: from the roots, and from old objects written."""
        self._check(self._lib.gcb_minor(self._space))

    def generation(self) -> dict[str, int]:
        """``gcb_generation``: what this cycle sees under sticky marks, in bytes; after its last pause all of it.

        ``minor``: 1 where old objects stayed marked; ``waited_for``: 1 where a mutator waited for memory when it began;
        ``old``: what was old; ``young``: allocated since the last cycle; ``survived``: of the young (or of everything)
        what lives; ``promoted``: of that what is old from now on; ``live`` after the last cycle that has ended,
        ``live_full`` after the last of those that looked at everything. Of the remembered set: ``granules``, old
        ``objects`` that were looked at, ``references`` met there to what was not marked.
        """
        return self._record("gcb_generation", self._lib.gcb_get_generation)
