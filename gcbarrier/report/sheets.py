"""A figure of panels side by side, in one row or several."""

from collections.abc import Sequence

from attrs import field, frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcbarrier.report.layout import place
from gcbarrier.report.page import MARGIN, page
from gcbarrier.report.panels import Panel, Room, View

_HEADINGS, _X_LABEL, _RIGHT = 0.42, 0.52, 0.3


@frozen
class Sheet:
    """Rows of panels, each from left to right and as high as its highest wants to be; the keys of all of them above."""

    rows: Sequence[Sequence[Panel]] = field()

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        """The figure of one machine."""
        panels = [panel for row in self.rows for panel in row]
        heights = [max((panel.height(view) for panel in row), default=1.0) for row in self.rows]
        rooms = [[panel.rooms(view) for panel in row] for row in self.rows]
        widths = [sum(room.left + room.width + room.right for some in row for room in some) for row in rooms]
        captions = [caption for panel in panels for caption in panel.captions(view)]
        own = [handle for panel in panels for handle in panel.handles(view)]
        figure, down = page(
            view.run,
            view.machine,
            title,
            width=MARGIN + max(widths, default=0.0) + _RIGHT,
            height=sum(_HEADINGS + height + _X_LABEL for height in heights),
            handles=[_once(own)] if own else [],
            # One paragraph: sentences that panels share are said once.
            remarks=[" ".join(dict.fromkeys([*captions, *remarks]))] if captions or remarks else [],
        )
        for row, wanted, height in zip(self.rows, rooms, heights, strict=True):
            at = MARGIN
            for panel, some in zip(row, wanted, strict=True):
                axes: list[Axes] = []
                for room in some:
                    axes.append(_axes(figure, at, down + _HEADINGS, room, height))
                    at += room.left + room.width + room.right
                panel.draw(axes, view)
            down += _HEADINGS + height + _X_LABEL
        return figure


def _axes(figure: Figure, at: float, top: float, room: Room, height: float) -> Axes:
    return place(figure, at + room.left, top, room.width, height)


def _once(handles: Sequence[object]) -> list[object]:
    found: dict[str, object] = {}
    for handle in handles:
        found.setdefault(handle.get_label(), handle)  # type: ignore[attr-defined]
    return list(found.values())


__all__ = ["Sheet"]
