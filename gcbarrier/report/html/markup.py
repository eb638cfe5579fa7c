"""Elements of HTML: what is no markup is escaped when it becomes part of one."""

from collections.abc import Iterable
from html import escape

from rich.text import Text


class Markup(str):
    """HTML that :func:`element` has made. Any other text is escaped in it."""

    __slots__ = ()


Child = Markup | str | Text | Iterable["Child"] | None
"""What may be within an element; None is nothing."""

_EMPTY = frozenset({"meta", "br", "hr", "wbr"})


def element(name: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """``<name attribute="...">children</name>``.

    An attribute's trailing underscore is dropped, others become hyphens (``class_``, ``data_value``); True is an
    attribute without a value, None and False are no attribute.
    """
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{said}>" if name in _EMPTY else f"<{name}{said}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    """One after the other, escaped where they are no markup."""
    return Markup("".join(map(_escaped, children)))


def _escaped(child: Child) -> str:
    if child is None or isinstance(child, Markup):
        return child or ""
    if isinstance(child, Text):
        child = child.plain
    return escape(child) if isinstance(child, str) else joined(child)


__all__ = ["Child", "Markup", "element", "joined"]
