"""Whole distributions, to the last of their values."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes

from gcbarrier.report.axes import placed, scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.panels import Room, Split, View, series_keys, style_of
from gcbarrier.report.style import INK
from gcbarrier.report.units import NS, SHARE, Unit, format_number
from gcbarrier.results.operations import Histogram


@frozen(kw_only=True)
class Tails:
    """The share of values that are at least so large, for each cell, on two logarithmic axes.

    ::

        Tails(of=seen, label="time of an operation", share="share that took so long", mark=99.99, per=RATE)
    """

    of: Callable[[Any], Histogram]
    label: str
    """What the values are."""
    share: str
    """What is said beside the share."""
    unit: Unit = NS
    mark: float | None = None
    """The percentile where a curve has its marker."""
    per: Split | None = None
    """A panel for each value of it."""
    width: float = 5.2
    tall: float = 3.6

    def rooms(self, view: View) -> Sequence[Room]:
        return [Room(width=self.width, left=0.3 if at else 0.85) for at in range(len(self._groups(view)))]

    def height(self, view: View) -> float:  # noqa: ARG002
        return self.tall

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        least = min((float(times.tail()[1][-1]) for cell in view.cells if (times := self.of(cell)).total), default=1e-3)
        if self.mark is not None:
            least = min(least, 1 - self.mark / 100)
        for at, (axes, (name, cells)) in enumerate(zip(panels, self._groups(view), strict=True)):
            axes.set_label(f"tail {name}".strip())
            axes.set_title(name, loc="left", color=INK)
            self._draw(axes, cells, view)
            if not axes.lines:
                say_empty(axes, "nothing recorded")
                continue
            axes.set_xlabel(self.label)
            # One scale, which is named once.
            scale(axes, "y", SHARE, [least, 1.0], most=12)
            axes.set_ylim(least / 2, 1.5)
            axes.grid()
            if at:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(self.share)

    def handles(self, view: View) -> Sequence[Any]:
        return series_keys(view)

    def captions(self, view: View) -> Sequence[str]:  # noqa: ARG002
        marks = f" Markers: the {format_number(self.mark, 4)}th percentile." if self.mark is not None else ""
        return [f"All invocations together.{marks}"]

    def _groups(self, view: View) -> list[tuple[str, list[Any]]]:
        groups = self.per.groups(view.cells) if self.per is not None else []
        return groups or [("", list(view.cells))]

    def _draw(self, axes: Axes, cells: Sequence[Any], view: View) -> None:
        seen: list[float] = []
        for cell in cells:
            values = self.of(cell)
            if not values.total or not view.name(cell):
                continue
            look = view.look(cell)
            took, share = values.tail()
            # A bucket of a nanosecond or none at all has no place on a logarithmic axis.
            x = [placed(self.unit, float(value)) for value in took]
            seen += x
            axes.step(
                x,
                share,
                where="post",
                color=look.colour,
                linestyle=(0, (4, 2)) if look.dashed else "-",
                linewidth=1.2,
                label=view.name(cell),
            )
            if self.mark is not None:
                marked = {**style_of(look, joined=False), "label": f"_p{self.mark:g}"}
                axes.plot(values.percentile(self.mark), 1 - self.mark / 100, zorder=5, **marked)
        scale(axes, "x", self.unit, seen, most=10)


__all__ = ["Tails"]
