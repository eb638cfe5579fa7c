"""Figures as a notebook shows them, without a window system and whatever its back end."""

import io

from matplotlib.figure import Figure

from gcbarrier.displayed import Displayed
from gcbarrier.report.style import styled


class DisplayedFigure(Figure):
    """A figure that a notebook shows: Jupyter knows only those that ``pyplot`` has made."""

    def _repr_svg_(self) -> str:
        with styled(), io.StringIO() as file:
            self.savefig(file, format="svg", metadata={"Date": None})
            return file.getvalue()


class Figures(dict[str, Figure], Displayed):
    """Figures by name; a notebook shows all of them, also such as it would not show one by one."""


__all__ = ["DisplayedFigure", "Figures"]
