"""Words on a terminal or in a log file."""

from collections.abc import Iterable
from textwrap import wrap
from typing import Any

from rich.console import Console, RenderableType

_PLAIN_WIDTH = 200


def fold(facts: Iterable[str], width: int) -> list[str]:
    """``facts`` with dots between them, on lines of at most ``width`` characters.

    Lines break between facts, and within one only where a line of its own is too short for it.
    """
    lines: list[str] = []
    for fact in facts:
        # Room for the dot behind it.
        first, *more = wrap(fact, max(width - 2, 1), break_on_hyphens=False) or [""]
        if lines and len(lines[-1]) + len(first) + 5 <= width:
            lines[-1] += f" · {first}"
        else:
            lines[-1:] = [*(f"{line} ·" for line in lines[-1:]), first]
        lines += more
    return lines


def show(renderable: RenderableType, *, stderr: bool = False) -> None:
    """Print to standard output, or to standard error: in full width and plain characters where that is no terminal.

    Texts are printed as they are: a name or an error may hold what rich takes for markup.
    """
    literal: dict[str, Any] = {"markup": False, "emoji": False}
    literal |= {"stderr": stderr}
    console = _Console(**literal)
    if not console.is_terminal:
        # Rich takes a pipe for 80 columns and would fold the numbers.
        console = _Console(width=max(console.width, _PLAIN_WIDTH), color_system=None, **literal)
    console.print(renderable)


class _Console(Console):
    """Rich's, but for a reader that leaves early: it would end the program by itself, and with another status."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


__all__ = ["fold", "show"]
