"""Figures as a notebook shows them, without a window system and whatever its back end."""

import io

from matplotlib.figure import Figure

from gcbarrier.report.style import styled
from gcbarrier.shown import Shown


class ShownFigure(Figure):
    """A figure that a notebook shows: Jupyter knows only those that ``pyplot`` has made."""

    def _repr_svg_(self) -> str:
        with styled(), io.StringIO() as file:
            self.savefig(file, format="svg", metadata={"Date": None})
            return file.getvalue()


class Figures(dict[str, Figure], Shown):
    """Figures by name; a notebook shows all of them, also such as it would not show one by one."""


__all__ = ["Figures", "ShownFigure"]
