"""A figure as SVG within a page: it brings no styles, no scripts and no links, and its ids are its own."""

import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from matplotlib.figure import Figure

from gcbarrier.report.html.markup import Markup, element
from gcbarrier.report.style import styled

_HREF = "{http://www.w3.org/1999/xlink}href"
_ROOT = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
"""What matplotlib says of everything in a style sheet, which would be the whole page's."""

_LARGE_IN = 6.0
"""On a narrow screen a wider one is not made smaller than one can read."""


def svg(figure: Figure, prefix: str, title: str) -> Markup:
    """``figure`` for within a page, where its ids begin with ``prefix`` and a reader who can't see it hears ``title``.

    A style of an element becomes attributes of it, which a page's policy allows.
    """
    with styled(), io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        root = ElementTree.fromstring(file.getvalue())
    _leave_out(root)
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
        attributes = dict(each.attrib)
        each.attrib.clear()
        each.attrib.update(_own(attributes, prefix))
    # As wide as it was drawn where there is room, and as high as that makes it.
    root.attrib.pop("height", None)
    root.attrib.pop("version", None)
    large = {"class": "large"} if figure.get_figwidth() > _LARGE_IN else {}
    root.attrib.update(_ROOT | large | {"role": "img", "aria-label": title})
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _leave_out(root: ElementTree.Element) -> None:
    """Metadata, which name a place on the web, and style sheets."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style", "script"):
                parent.remove(child)


def _own(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if name == "style":
            pairs = (part.partition(":") for part in value.split(";"))
            found |= {key.strip(): _referring(said.strip(), prefix) for key, _, said in pairs if said}
        elif name in (_HREF, "href"):
            if value.startswith("#"):
                found["href"] = f"#{prefix}{value[1:]}"
        elif name == "id":
            found["id"] = prefix + value
        elif not name.startswith("{"):
            found[name] = _referring(value, prefix)
    return found


def _referring(value: str, prefix: str) -> str:
    return re.sub(r"url\(#", f"url(#{prefix}", value)


def zoomable(drawn: Markup, name: str) -> Markup:
    """A figure with what zooms it: buttons, keys, a drag, a pinch, or a wheel with Ctrl."""
    how = "Keys + \N{MINUS SIGN} 0 and arrows, drag, pinch, or Ctrl and wheel"
    buttons = [
        element("button", sign, type="button", data_zoom=what, title=f"{said} ({how})", aria_label=said)
        for sign, what, said in (("+", "in", "Zoom in"), ("\N{MINUS SIGN}", "out", "Zoom out"), ("Reset", "0", "Reset"))
    ]
    window = element("div", drawn, class_="window", tabindex="0", role="group", aria_label=f"{name}, zoomable: {how}")
    return element("figure", element("div", *buttons, class_="zoom"), window, data_figure=name)


__all__ = ["svg", "zoomable"]
