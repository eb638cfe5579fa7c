"""What an experiment prints, as HTML: its tables with heads that sort, and its sentences."""

import re
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.protocol import rich_cast
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from gcbarrier.report.html.markup import Child, Markup, element, joined
from gcbarrier.report.numbered import Numbered
from gcbarrier.report.units import DASH

_ANY_WIDTH = 10_000
_SIZES = {"": 1.0, "ns": 1.0, "µs": 1e3, "us": 1e3, "ms": 1e6, "s": 1e9} | {"%": 1.0, "k": 1e3, "M": 1e6, "B": 1.0}
_SIZES |= {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40, "instr.": 1.0, "times": 1.0, "x": 1.0}
_NUMBER = re.compile(r"\s*([-\N{MINUS SIGN}]?[\d,]*\.?\d+(?:e[-+]?\d+)?)\s*([A-Za-zµ%]*\.?)(?=$|[\s,;(])")


class Written:
    """What has been printed so far, as HTML; the heads of its tables sort where the page has the script."""

    def __init__(self, prefix: str = "t", skip: Sequence[str] = ()) -> None:
        """Tables are called ``prefix`` and a number; ``skip`` are sentences that are said elsewhere."""
        self._prefix = prefix
        self._skip = frozenset(skip)
        self._tables = 0

    def html(self, printed: RenderableType) -> Markup:
        """Tables, each with the line above it as its caption, and sentences."""
        found: list[Markup] = []
        heading = ""
        for part in flat(printed):
            if isinstance(part, Table):
                title = part.title.plain if isinstance(part.title, Text) else str(part.title or "")
                self._tables += 1
                caption = heading or title
                lines = table(part, f"{self._prefix}{self._tables}", caption)
                label = caption or f"table {self._tables}"
                found.append(element("div", lines, class_="scroll", tabindex="0", role="group", aria_label=label))
                heading = ""
                continue
            found += _said(heading)
            heading = "" if part.strip() in self._skip else part.strip()
        return joined([*found, *_said(heading)])


def _said(sentence: str) -> Iterator[Markup]:
    if sentence:
        yield element("pre" if "\n" in sentence else "p", sentence)


def flat(printed: RenderableType) -> Iterator[Table | str]:
    """The tables and lines in ``printed``, as they are before a terminal's width is known; "" is an empty line."""
    printed = rich_cast(printed)
    if isinstance(printed, Table):
        yield printed
    elif isinstance(printed, str | Text):
        yield printed if isinstance(printed, str) else printed.plain
    elif isinstance(printed, Group):
        for each in printed.renderables:
            yield from flat(each)
    else:
        # Whatever else: what it would print on a terminal of any width.
        console = Console(width=_ANY_WIDTH, color_system=None, markup=False, emoji=False)
        render = getattr(printed, "__rich_console__", None)
        parts = render(console, console.options) if render is not None else [Text(str(printed))]
        line = ""
        for each in parts:
            if isinstance(each, Segment):
                line += "" if each.control else each.text
            else:
                yield from (*([line] if line else []), *flat(each))
                line = ""
        if line:
            yield "\n".join(one.rstrip() for one in line.splitlines())


def table(lines: Table, name: str | None, caption: str) -> Markup:
    """A table of rich's; ``name`` is its id, by which the page's script knows it."""
    columns = [[_words(cell) for cell in column.cells] for column in lines.columns]
    values = [_values(column, words) for column, words in zip(lines.columns, columns, strict=True)]
    heads = [element("th", _head(column), scope="col", class_=_side(column)) for column in lines.columns]
    rows = []
    for row in range(len(lines.rows)):
        places = [
            _place(column, list(column.cells)[row], words[row], value[row])
            for column, words, value in zip(lines.columns, columns, values, strict=True)
        ]
        rows.append(element("tr", places))
    wide = "wide" if len(columns) > 9 else None
    inner: list[Child] = [element("caption", caption) if caption else None]
    inner += [element("thead", element("tr", heads)), element("tbody", rows)]
    return element("table", inner, id=name, class_=wide)


def _head(column: Column) -> str:
    return " ".join(_words(column.header).split())


def _side(column: Column) -> str | None:
    return "number" if column.justify == "right" else None


def _place(column: Column, cell: RenderableType, words: str, value: float | None) -> Markup:
    again = isinstance(cell, Numbered) and not cell.plain and bool(cell.whole)
    classes = " ".join(each for each in (_side(column), "again" if again else None) if each)
    # Not a number sorts as what is not there.
    known = value is not None and value == value
    return element("td", words, class_=classes or None, data_value=repr(float(value or 0)) if known else None)


def _words(cell: RenderableType) -> str:
    if isinstance(cell, Numbered):
        return cell.whole
    if isinstance(cell, str | Text):
        return str(cell)
    return " ".join(part for part in flat(cell) if isinstance(part, str))


def _values(column: Column, words: Sequence[str]) -> list[float | None]:
    """The number behind each place: its own, or what the words of the whole column say."""
    own = [cell.value if isinstance(cell, Numbered) else None for cell in column.cells]
    if any(value is not None for value in own):
        return own
    read = [number(each) for each in words]
    filled = [value for value, each in zip(read, words, strict=True) if each.strip() not in ("", DASH)]
    return read if filled and all(value is not None for value in filled) else [None] * len(words)


def number(words: str) -> float | None:
    """What words begin with, in ns, bytes or as it is: ``1.2 ms (1 – 3 ms)`` is 1.2e6. None: no number."""
    match = _NUMBER.match(words)
    if match is None or match[2] not in _SIZES:
        return None
    return float(match[1].replace(",", "").replace("\N{MINUS SIGN}", "-")) * _SIZES[match[2]]


__all__ = ["Written", "flat", "number", "table"]
