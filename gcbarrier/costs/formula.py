"""The formula: what a barrier costs a program in a cycle, from the machine's constants.

A cycle of length ``P`` under a mostly-concurrent collector (Boehm, Demers and Shenker 1991) arms everything, marks for
``M``, looks again at what was written meanwhile in rounds, stops the world for the last look, and waits for the next
cycle. Marking and the rounds are **windows** ``w_0 = M, w_1, ..., w_k``, at whose beginning all pages are armed, so
that each takes a fault for each page that is written in it. What the remark reports stays open: to the last window
belongs all that is left of the cycle, ``w_r``. With

- ``W(t)``: granules that the program writes within ``t`` of its own time (:mod:`gcbarrier.costs.curves`),
- ``S``: references that it stores in a unit of time, ``H``: pages of its heap, ``m``: mutators,
- ``σ, φ``: what a store, and the first store to a granule, takes longer than without a barrier (measured whole: ``φ``
  has a ``σ`` in it, and ``S`` counts that store again, which is too much by ``σ/φ`` of the faults' part),
- ``ρ``: looking again at a granule, ``h``: stopping a mutator and letting it go, its roots included,
- ``C(d) = c_0 + c_1·H + c_2·d``: collecting ``d`` granules and arming them again, ``L(d)``: for the last time without
  that, ``A(d)``: arming everything, ``d`` of it written since it was armed,

a cycle costs

    mutators   T = σ·S·P' + φ·(Σ_{i<k} W(w_i) + W(w_k + w_r))
    collector  K = A(W(w_k + w_r)) + Σ_{i<k} (C(d_i) + ρ·d_i) + L(d_k) + ρ·d_k          d_i = W(w_i)
    remark     R = h·m + L(d_k) + ρ·d_k

A round lasts as long as it takes, and what is written meanwhile is the next one's: ``w_{i+1} = C(d_i) + ρ·d_i``.
After two there are rounds until another would not find less, as in ``collectors/mostly_concurrent``; a round is
reckoned to take as long for each granule as the lesser of the two before it. Where it would leave more than half of
what it finds, and the remark's ``ρ·d`` is above what the collector aims at, mutators are **held** up at their
safepoints (``native/cycle/rounds.c``): for so long after each granule that they write that half is left, unless that
were longer than ``ρ·d`` itself. Each of them then writes no more than one in that time, which is lengthened if need
be.

``P`` is as long as was asked for, or as all of the collector's work, arming and marking included, where that takes
longer. ``P'`` is the program's own time in a cycle: all of ``P`` where it waits for its next request anyway. Otherwise
it is what the barrier leaves of each window ``w``, the ``p`` with ``p + (σ·S·p + φ·W(p))/m = w``, and ``W(p)`` is what
is written in that. All of it is computed for each draw of constants and curve, so that what comes out is as uncertain
as these.

What is not in it: what mutators that are held do meanwhile (they look again at granules themselves, or sleep);
:attr:`Prediction.held_ns` tells for how long. Nor the memory that marking and scanning drive out of the
mutators' caches and mutators out of theirs, what a write-protection flushes of their TLBs beyond the faults
themselves, or objects that were allocated since the cycle began.

Bitchebe and Tchana ("Out of Hypervisor (OoH): Efficient dirty page tracking in userspace using hardware virtualization
features", SC 2022) have a formula of the kind for a program under soft-dirty, userfaultfd and a hardware log: the sum
over each technique's steps of how often a step is taken times what it takes. They report 96 and 99 % of accuracy for
what is tracked and for who tracks. It has neither rounds nor a pause, and says nothing of software barriers.
"""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from gcbarrier.costs.constants import DRAWS, OBJECTS_PER_PAGE, BarrierConstants, Constants, Floats
from gcbarrier.costs.workload import Workload
from gcbarrier.model import PAGE_BYTES, evolve

ROUNDS = 32
"""At most, as the collector has it by default."""
AIM_NS = 10_000.0
"""What the remark's rescan may take before mutators are held up, likewise."""
_UNTIL_KNOWN = 2
"""Rounds that are taken whatever they find, at first and after mutators are held anew."""
MOST_STORES = 1e9
"""To a page in a cycle: with no more than these a crossing is sought."""
SLIGHT = 0.05
"""Of a bill: what is no more does not put in doubt who is cheaper, or from where on."""
_STEPS = 16
_ARMED = 64
"""Arming takes the longer the more was written, and where a cycle is all work more is written while it lasts: at most
so many times is it reckoned anew."""
_HALVES = 24
"""Of a crossing: to a few in a million of it."""


@frozen(kw_only=True, eq=False)
class Prediction:
    """What a cycle costs; each an array of the centre and of all draws."""

    barrier: str
    period_ns: Floats
    """From the beginning of a cycle to that of the next: as asked for, or longer where its work does not fit in."""
    program_ns: Floats
    """Of the program's own time that goes by meanwhile."""
    mutator_ns: Floats
    """Processor time that the mutators lose, all together."""
    collector_ns: Floats
    """What the collector does for the barrier's sake: marking comes on top, whatever the barrier."""
    remark_ns: Floats
    """nan where the constants for it were not measured, as the collector's time."""
    faults: Floats
    """First stores."""
    rounds: Floats
    left: Floats
    """Granules that the remark finds."""
    held_ns: Floats
    """Of a cycle, the rounds in which mutators are held up at their safepoints: of what that costs them, as much at
    most, the formula has nothing."""
    last_window_ns: Floats
    """The last round's length, or marking's: what is written in it the remark finds."""
    processors: float
    """That the mutators keep busy without a barrier."""

    @property
    def mutator_share(self) -> Floats:
        """Of the mutators' processor time what they lose, over what they need without a barrier."""
        return np.asarray(self.mutator_ns / (self.program_ns * self.processors))

    @property
    def collector_share(self) -> Floats:
        """Of the time of one processor."""
        return np.asarray(self.collector_ns / self.period_ns)

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Whether mutators may lose to being held up more than a twentieth of the bill."""
        return np.asarray(self.held_ns * self.processors > SLIGHT * self.bill * self.period_ns)

    @property
    def bill(self) -> Floats:
        """Mutators' loss and collector's work, of the time of one processor."""
        return np.asarray((self.mutator_ns + self.collector_ns) / self.period_ns)


@frozen(kw_only=True, eq=False)
class _Windows:
    windows_ns: Floats
    """Marking and all rounds, by the clock on the wall."""
    program_ns: Floats
    """Of the program's own time, in all of these but the last."""
    faults: Floats
    """In all but the last."""
    rounds: Floats
    left: Floats
    """Granules that were written in the last one."""
    held_ns: Floats
    last_ns: Floats
    """Its length."""
    collector_ns: Floats
    remark_ns: Floats


def predict(
    workload: Workload,
    barrier: BarrierConstants,
    machine: Constants,
    *,
    period_ns: float,
    marking_ns: float,
    rounds: int = ROUNDS,
    aim_ns: float = AIM_NS,
) -> Prediction:
    """What ``barrier`` costs ``workload`` in cycles of ``period_ns``, of which marking takes ``marking_ns``."""
    seen = _windows(workload, barrier, machine, marking_ns, rounds, aim_ns)
    busy = seen.windows_ns + np.nan_to_num(seen.remark_ns)
    period = np.maximum(busy, period_ns)
    for _ in range(_ARMED):
        own = _own_ns(workload, barrier, seen.last_ns + np.maximum(period - busy, 0))
        open_again = workload.granules(barrier, own)
        arm = barrier.arm.ns(workload.pages, open_again)
        before, period = period, np.maximum(busy + arm, period_ns)
        if np.allclose(before, period, rtol=1e-4):
            break
    program = seen.program_ns + own
    faults = seen.faults + open_again
    return Prediction(
        barrier=barrier.name,
        period_ns=period,
        program_ns=program,
        mutator_ns=barrier.store.array * workload.stores_per_ns * program + barrier.first_store.array * faults,
        collector_ns=arm + seen.collector_ns,
        remark_ns=seen.remark_ns,
        faults=faults,
        rounds=seen.rounds,
        left=seen.left,
        held_ns=seen.held_ns,
        last_window_ns=seen.last_ns,
        processors=workload.busy,
    )


def _own_ns(workload: Workload, barrier: BarrierConstants, window_ns: Floats) -> Floats:
    """Of the program's own time what goes by in a window at whose beginning everything is armed: bisected."""
    if workload.paced:
        return window_ns
    low, high = np.zeros_like(window_ns), window_ns
    for _ in range(_STEPS):
        own = (low + high) / 2
        lost = barrier.store.array * workload.stores_per_ns * own
        lost = lost + barrier.first_store.array * workload.granules(barrier, own)
        fits = own + lost / workload.mutators <= window_ns
        low, high = np.where(fits, own, low), np.where(fits, high, own)
    return np.asarray((low + high) / 2)


def _windows(
    workload: Workload, barrier: BarrierConstants, machine: Constants, marking_ns: float, rounds: int, aim_ns: float
) -> _Windows:
    """Marking, and rounds for as long as one pays, which each draw decides by itself, as ``native/cycle/rounds.c``."""
    look, mutators = rescan_ns(barrier, machine), workload.mutators
    last_ns = np.full(1 + DRAWS, float(marking_ns))
    own_ns = _own_ns(workload, barrier, last_ns)
    found = workload.granules(barrier, own_ns)
    taken, collector, windows, program, faults = (np.zeros(1 + DRAWS) for _ in range(5))
    windows = windows + last_ns
    going, held_ns = np.full(1 + DRAWS, rounds > 0), np.zeros(1 + DRAWS)
    hold_ns, unknown = np.zeros(1 + DRAWS), np.full(1 + DRAWS, _UNTIL_KNOWN)
    each_before_ns = np.full(1 + DRAWS, np.inf)
    while going.any():
        round_ns = barrier.collect.ns(workload.pages, found) + np.nan_to_num(look) * found
        for total, more in ((collector, round_ns), (windows, round_ns), (program, own_ns), (faults, found), (taken, 1)):
            total += np.where(going, more, 0)
        next_own_ns = _own_ns(workload, barrier, round_ns)
        next_found = workload.granules(barrier, next_own_ns)
        held_ns += np.where(going & (hold_ns > 0), round_ns, 0)
        # Each mutator that is held writes a granule, and is held again.
        may = np.where(hold_ns > 0, mutators * round_ns / np.maximum(hold_ns, 1), np.inf)
        slower = np.minimum(1.0, may / np.maximum(next_found, 1e-12))
        # What a program that waits for its next request anyway has missed it makes up for.
        next_own_ns = next_own_ns if workload.paced else next_own_ns * slower
        before, found = found, np.where(going, next_found * slower, found)
        own_ns, last_ns = np.where(going, next_own_ns, own_ns), np.where(going, round_ns, last_ns)
        unknown = unknown - going
        # Another would take as long for each as the lesser of two has, and be written in as fast as this one.
        each_ns = round_ns / np.maximum(before, 1e-9)
        lesser_ns, each_before_ns = np.minimum(each_before_ns, each_ns), np.where(going, each_ns, each_before_ns)
        leaves, pause_ns = found / np.maximum(round_ns, 1e-9) * found * lesser_ns, look * found
        # Less than a granule is none.
        less = found - leaves >= 1
        alone = less & ((hold_ns > 0) | (2 * leaves <= found))
        longer_ns = np.where(hold_ns > 0, hold_ns * 2 * leaves / np.maximum(found, 1e-12), 2 * mutators * lesser_ns)
        # Where it is not known what looking again takes, it is not known whether it is too long either.
        holds = going & (unknown <= 0) & (pause_ns > aim_ns) & ~alone & (longer_ns <= pause_ns)
        going = going & (taken < rounds) & ((unknown > 0) | holds | less)
        hold_ns, unknown = np.where(holds, longer_ns, hold_ns), np.where(holds, _UNTIL_KNOWN, unknown)
    last = barrier.last.ns(workload.pages, found)
    stop = machine.handshake.array * mutators if machine.handshake else np.nan
    return _Windows(
        windows_ns=windows,
        program_ns=program,
        faults=faults,
        rounds=taken,
        left=found,
        held_ns=held_ns,
        last_ns=last_ns,
        # Without a rescan's cost it is not known, rather than nothing.
        collector_ns=collector + last + look * found,
        remark_ns=stop + last + look * found,
    )


def rescan_ns(barrier: BarrierConstants, machine: Constants) -> Floats:
    """Looking again at what one report covers; nan where that was not measured.

    Of a page its share, and of less than a page the miss besides with which it begins: about what marking an object is.
    """
    if machine.rescan_page is None:
        return np.full(1 + DRAWS, np.nan)
    page, share = machine.rescan_page.array, barrier.granule_bytes / PAGE_BYTES
    miss = machine.mark_page.array / OBJECTS_PER_PAGE if machine.mark_page else 0.0
    return np.asarray(page if share >= 1 else np.minimum(page * share + miss, page))


def crossing(
    page: Prediction,
    workload: Workload,
    software: BarrierConstants,
    machine: Constants,
    *,
    period_ns: float,
    marking_ns: float,
    rounds: int = ROUNDS,
) -> Floats:
    """From how many stores to a written page in a cycle on a page barrier is the cheaper one.

    It is sought, by halves on logarithmic paper, where the software barrier's bill is ``page``'s. Stores are not all
    that gets dearer with their number: the more granules of a page are met, the more first stores there are, the more
    is looked at again, and the longer rounds last. 0 where the page barrier is cheaper at one store already, inf where
    it is not at :data:`MOST_STORES`, nan in draws in which mutators are held up there for so long that it may be
    elsewhere (:attr:`Prediction.doubtful`).
    """
    written = np.maximum(workload.written.at(period_ns), 1e-9)
    most = np.log(MOST_STORES)
    low, high = np.zeros(1 + DRAWS), np.full(1 + DRAWS, most)

    def at(stores: Floats) -> Prediction:
        stored = evolve(workload, stores_per_ns=written * np.exp(stores) / period_ns, least_stores=False)
        return predict(stored, software, machine, period_ns=period_ns, marking_ns=marking_ns, rounds=rounds)

    for _ in range(_HALVES):
        middle = (low + high) / 2
        dearer = at(middle).bill > page.bill
        low, high = np.where(dearer, low, middle), np.where(dearer, middle, high)
    found = np.where(high >= most, np.inf, np.where(low == 0, 0.0, np.exp(high)))
    trusted = ~at(high).doubtful & ~np.isnan(page.bill)
    return np.asarray(np.where(trusted, found, np.nan))


__all__ = ["MOST_STORES", "ROUNDS", "Prediction", "crossing", "predict", "rescan_ns"]
