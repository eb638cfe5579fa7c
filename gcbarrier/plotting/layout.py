"""Places for panels and words, in inches.

An automatic layout gives room to whatever sticks out of an axes, and with many words beside the bars it leaves little
for the panels. Here the panels have their size, and the figure gets as large as panels and words need.
"""

from collections.abc import Iterable
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from gcbarrier.plotting.style import RC

_POINTS = 72  # per inch
_NO_BREAK = "\N{NO-BREAK SPACE}"


def text_width(lines: Iterable[str], size: float) -> float:
    """The width in inches of the longest of ``lines`` at a font ``size`` in points; 0 where there are none."""
    font = FontProperties(family=RC["font.family"], size=size)
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    return float(max(widths, default=0.0)) / _POINTS


def fold(facts: Iterable[str], width: int) -> list[str]:
    """``facts`` with dots between them, on lines of at most ``width`` characters.

    Lines break between facts, and within one only where a line of its own is too short for it.
    """
    kept = " · ".join(fact.replace(" ", _NO_BREAK) for fact in facts)
    return [line.replace(_NO_BREAK, " ") for line in wrap(kept, max(width, 1), break_on_hyphens=False)]


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """New axes whose upper left corner is ``left`` and ``top`` inches away from the figure's."""
    whole_width, whole_height = figure.get_size_inches()
    bottom = whole_height - top - height
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))


def spot(figure: Figure, left: float, top: float) -> tuple[float, float]:
    """The point ``left`` and ``top`` inches away from the upper left corner, in the figure's coordinates."""
    whole_width, whole_height = figure.get_size_inches()
    return float(left / whole_width), float(1 - top / whole_height)


__all__ = ["fold", "place", "spot", "text_width"]
