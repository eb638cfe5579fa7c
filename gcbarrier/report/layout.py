"""Places for panels and words, in inches.

An automatic layout gives room to whatever sticks out of an axes, and with many words beside the bars it leaves little
for the panels. Here the panels have their size, and the figure gets as large as panels and words need.
"""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from gcbarrier.report.style import RC

_POINTS = 72  # per inch


def text_width(lines: Iterable[str], size: float) -> float:
    """The width in inches of the longest of ``lines`` at a font ``size`` in points; 0 where there are none."""
    font = FontProperties(family=RC["font.family"], size=size)
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    return float(max(widths, default=0.0)) / _POINTS


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """New axes whose upper left corner is ``left`` and ``top`` inches away from the figure's."""
    whole_width, whole_height = figure.get_size_inches()
    bottom = whole_height - top - height
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))


def spot(figure: Figure, left: float, top: float) -> tuple[float, float]:
    """The point ``left`` and ``top`` inches away from the upper left corner, in the figure's coordinates."""
    whole_width, whole_height = figure.get_size_inches()
    return float(left / whole_width), float(1 - top / whole_height)


__all__ = ["place", "spot", "text_width"]
