"""How much of every window of time a mutator had to itself: MMU, BMU and percentiles, exactly.

A timeline says of each moment which share of it a mutator lost. Of all windows of one length that lie in it, the
**minimum mutator utilisation** (MMU: Cheng and Blelloch, "A Parallel, Real-Time Garbage Collector", PLDI 2001) is that
of the worst one; the **bounded** one (BMU: Sachindran, Moss and Berger, "MC²", OOPSLA 2004, after Printezis) that of
the worst window of at least that length, so that it never falls. A percentile is that of all windows, wherever they
begin.

None of it is sampled. What a window has lost, as a function of where it begins, is linear between the places where one
of its ends meets an edge of the timeline: so extremes lie at these, and a percentile follows from the pieces.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@frozen(kw_only=True, eq=False)
class Timeline:
    """What one mutator lost, from the beginning of the run (0) to its end; times are ns."""

    edges_ns: Floats
    """Ascending; between two of them the share is the same."""
    share: Floats
    """Of each moment that is lost, 0 to 1; one fewer than the edges."""
    lost_ns: Floats
    """Of everything up to each edge."""

    @property
    def length_ns(self) -> float:
        """Of the run."""
        return float(self.edges_ns[-1])

    @property
    def utilisation(self) -> float:
        """Of the run as a whole."""
        return 1 - float(self.lost_ns[-1]) / self.length_ns

    def lost(self, until_ns: ArrayLike) -> Floats:
        """Of everything up to these moments, in ns."""
        return np.interp(np.asarray(until_ns, np.float64), self.edges_ns, self.lost_ns)

    def mmu(self, windows_ns: ArrayLike) -> Floats:
        """The minimum utilisation over all windows of each length; a longer one than the run is the run."""
        found = [(end - begin).max() / length for length, _, begin, end in self._windows(windows_ns)]
        return _shares(1 - np.array(found))

    def bmu(self, windows_ns: ArrayLike) -> Floats:
        """The minimum utilisation over all windows of each length or longer."""
        return _shares(1 - np.array([_steepest(*each) for each in self._windows(windows_ns)]))

    def percentile(self, windows_ns: ArrayLike, q: float) -> Floats:
        """What ``q`` per cent of the windows of each length have at most: of 0 the MMU, of 100 the best window."""
        found = [
            _quantile(np.diff(at), 1 - (end - begin) / length, q / 100)
            for length, at, begin, end in self._windows(windows_ns)
        ]
        return _shares(found)

    def _windows(self, windows_ns: ArrayLike) -> "list[tuple[float, Floats, Floats, Floats]]":
        """For each length: itself, where windows with an end on an edge begin, and what was lost at both their ends."""
        found = []
        for wanted in np.atleast_1d(np.asarray(windows_ns, np.float64)):
            if not wanted > 0:
                raise ValueError(f"a window must be longer than nothing, not {wanted} ns")
            length = min(float(wanted), self.length_ns)
            last = self.length_ns - length
            at = np.unique(np.clip(np.concatenate([self.edges_ns, self.edges_ns - length]), 0, last))
            found.append((length, at, self.lost(at), self.lost(at + length)))
        return found


def timeline(length_ns: float, begin_ns: ArrayLike, end_ns: ArrayLike, share: ArrayLike = 1.0) -> Timeline:
    """Of a run so long, in which a mutator lost ``share`` of the time between each begin and end.

    What overlaps counts once where one of them is the whole of it, and adds up to no more than that elsewhere. What
    lies outside of the run is cut off.
    """
    if not length_ns > 0:
        raise ValueError(f"a run must be longer than nothing, not {length_ns} ns")
    begin, end = (np.clip(np.atleast_1d(np.asarray(ns, np.float64)), 0, length_ns) for ns in (begin_ns, end_ns))
    shares = np.broadcast_to(np.clip(np.asarray(share, np.float64), 0, 1), begin.shape)
    edges = np.unique(np.concatenate([[0.0, length_ns], begin, end]))
    whole = shares >= 1
    partly = _summed(edges, begin[~whole], end[~whole], shares[~whole])
    lost = np.where(_summed(edges, begin[whole], end[whole], shares[whole]) > 0.5, 1.0, np.clip(partly, 0, 1))
    total = np.concatenate([[0.0], np.cumsum(lost * np.diff(edges))])
    return Timeline(edges_ns=edges, share=lost, lost_ns=total)


def _shares(found: ArrayLike) -> Floats:
    """Without what rounding has left beyond nothing and all."""
    clipped: Floats = np.clip(np.asarray(found, np.float64), 0, 1)
    return clipped


def _summed(edges: Floats, begin: Floats, end: Floats, share: Floats) -> Floats:
    """The sum of the shares between each two edges."""
    steps = np.zeros(len(edges))
    np.add.at(steps, np.searchsorted(edges, begin), share)
    np.add.at(steps, np.searchsorted(edges, end), -share)
    return np.cumsum(steps)[:-1]


def _steepest(length: float, at: Floats, begin: Floats, end: Floats) -> float:
    """The greatest share that is lost in a window of at least ``length``.

    By Dinkelbach's iteration: of all windows the one that has lost most beyond what the best one so far would have,
    until there is none. Each step looks at every end and the best begin before it, which is a running minimum.
    """
    steepest = float((end - begin).max()) / length
    while True:
        floor = begin - steepest * at
        lowest = np.minimum.accumulate(floor)
        last = int(np.argmax(end - steepest * (at + length) - lowest))
        first = int(np.argmin(floor[: last + 1]))
        found = float(end[last] - begin[first]) / float(at[last] + length - at[first])
        # What rounding leaves is no steeper window.
        if found <= steepest * (1 + 1e-12):
            return steepest
        steepest = found


def _quantile(lengths: Floats, values: Floats, q: float) -> float:
    """What a function, linear in pieces of these ``lengths`` between ``values``, is at most on ``q`` of them."""
    if not lengths.size or not lengths.sum():
        return float(values[0])
    low, high = np.minimum(values[:-1], values[1:]), np.maximum(values[:-1], values[1:])
    flat = high - low < 1e-12
    low = np.where(flat, high, low)
    knots = np.unique(np.concatenate([low, high]))
    rate, jump = np.zeros(len(knots)), np.zeros(len(knots))
    density = np.where(flat, 0.0, lengths / np.where(flat, 1.0, high - low))
    np.add.at(rate, np.searchsorted(knots, low), density)
    np.add.at(rate, np.searchsorted(knots, high), -density)
    np.add.at(jump, np.searchsorted(knots, high[flat]), lengths[flat])
    climbed = np.concatenate([[0.0], np.cumsum(np.cumsum(rate)[:-1] * np.diff(knots))])
    after = climbed + np.cumsum(jump)
    # At each knot what lies below it, and then what lies at it as well.
    below = np.column_stack([after - jump, after]).ravel()
    wanted = q * float(lengths.sum())
    place = min(int(np.searchsorted(below, wanted)), len(below) - 1)
    if not place:
        return float(knots[0])
    low_share, high_share = below[place - 1], below[place]
    weight = (wanted - low_share) / (high_share - low_share) if high_share > low_share else 1.0
    return float(knots[(place - 1) // 2] + min(weight, 1.0) * (knots[place // 2] - knots[(place - 1) // 2]))


def window_lengths(longest_ns: float, *, shortest_ns: float = 1e3, per_decade: int = 8) -> Floats:
    """Lengths for a curve, equally far apart on a logarithmic axis, the run's own the last."""
    shortest = min(shortest_ns, longest_ns)
    count = max(int(np.ceil(np.log10(longest_ns / shortest) * per_decade)), 1) + 1
    return np.geomspace(shortest, longest_ns, count)


def worst(timelines: Sequence[Timeline], windows_ns: ArrayLike, q: float = 0.0, *, bounded: bool = False) -> Floats:
    """The least of several mutators' utilisations: of their MMU, their BMU, or their ``q``-th percentile."""
    each = [
        one.bmu(windows_ns) if bounded else one.percentile(windows_ns, q) if q else one.mmu(windows_ns)
        for one in timelines
    ]
    least: Floats = np.min(each, axis=0)
    return least


__all__ = ["Timeline", "timeline", "window_lengths", "worst"]
