"""How many different pages a program writes within a window of its time: Denning's working set, of writes.

P. J. Denning, "The working set model for program behavior" (Communications of the ACM 11(5), 1968).
"""

import numpy as np
from attrs import field, frozen

from gcbarrier.costs.constants import DRAWS, Floats
from gcbarrier.model import evolve


def _array(values: object) -> Floats:
    return np.asarray(values, np.float64)


@frozen(kw_only=True, eq=False)
class Curve:
    """Pages by the length of a window, as far as that was seen, for each draw.

    Between two lengths it is a straight line on logarithmic paper; below the shortest it is one as well, whose slope
    nobody has seen: a working set grows the less the longer a window is, so that pages in proportion to the length are
    the fewest that there may be. Beyond the longest pages go on as they did last, and :attr:`longest_ns` says where
    that begins.
    """

    windows_ns: Floats = field(converter=_array)
    """Ascending, all above 0; shape ``(n,)``."""
    pages: Floats = field(converter=_array)
    """Shape ``(1 + DRAWS, n)``: the first row is what was seen."""
    below: Floats = field(converter=_array, default=1.0)
    """The slope below the shortest, one or one for each draw; 1: in proportion."""
    clock: Floats = field(converter=_array, default=1.0)
    """How many times as long a window is to be looked up, one or one for each draw: of a program that was slowed while
    it was seen, its own time is known only as well as by how much."""

    @property
    def longest_ns(self) -> float:
        """The longest window that was seen."""
        return float(self.windows_ns[-1])

    def at(self, window_ns: Floats | float) -> Floats:
        """Pages within a window, which may be another one for each draw; shape ``(1 + DRAWS,)``."""
        window = np.broadcast_to(_array(window_ns) * self.clock, (len(self.pages),))
        windows, pages = self.windows_ns, self.pages
        rows = np.arange(len(pages))
        part = np.clip(window / windows[0], 0, 1)
        short = np.where(part > 0, pages[:, 0] * np.maximum(part, 1e-300) ** self.below, 0.0)
        if len(windows) == 1:
            return np.asarray(np.where(window < windows[0], short, pages[:, 0] * window / windows[0]))
        right = np.clip(np.searchsorted(windows, window), 1, len(windows) - 1)
        left = right - 1
        low, high = np.maximum(pages[rows, left], 1e-12), np.maximum(pages[rows, right], 1e-12)
        slope = np.log(high / low) / np.log(windows[right] / windows[left])
        far = np.log(np.maximum(window, windows[0]) / windows[left])
        # A window twice as long holds at most twice as many: extrapolated, too.
        slope = np.where(window > windows[-1], np.clip(slope, 0, 1), slope)
        found = low * np.exp(slope * far)
        return np.asarray(np.where(window < windows[0], short, found))

    def times(self, factor: float) -> "Curve":
        """The same of a program that goes through its time ``factor`` times as fast."""
        return evolve(self, windows_ns=self.windows_ns / factor)


def curve(windows_ns: Floats, pages: Floats, errors: Floats | None = None, *, clock: Floats | float = 1.0) -> Curve:
    """A curve of what was seen, and the standard error of each number; none: known exactly. ``clock``: as Curve's.

    All numbers are too large together, or too small: windows of several lengths lie over the same time. The slope below
    the shortest window is drawn from between that of the first two and 1, and is in the middle for what was seen.
    """
    windows_ns = _array(windows_ns)
    seen = _array(pages)
    deviation = np.zeros_like(seen) if errors is None else _array(errors)
    luck = np.concatenate([[0.0], np.random.default_rng(_SEED).standard_normal(DRAWS)])
    least = 0.0
    if len(seen) > 1:
        steps = np.log(np.maximum(seen[1], 1e-12) / np.maximum(seen[0], 1e-12)) / np.log(windows_ns[1] / windows_ns[0])
        least = float(np.clip(steps, 0, 1))
    # Apart from the luck above: what nobody has seen hangs on nothing that was.
    share = np.concatenate([[0.5], np.random.default_rng([_SEED, 1]).random(DRAWS)])
    return Curve(
        windows_ns=windows_ns,
        pages=np.maximum(seen + luck[:, None] * deviation, 0.0),
        below=least + (1 - least) * share,
        clock=clock,
    )


_SEED = 1968

__all__ = ["Curve", "curve"]
