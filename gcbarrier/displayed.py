"""How a record looks in a notebook: records lie low in the house, and what shows them above.

Whoever shows them says so here (:func:`by`), which ``gcbarrier`` does when it is imported. Imports nothing.
"""

from collections.abc import Callable

Shows = Callable[[object], str | None]
_shows: list[Shows] = []


class Displayed:
    """Base of what a notebook shows as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """What Jupyter asks for; None: it takes the plain words."""
        return next((html for show in _shows if (html := show(self)) is not None), None)


def by(show: Shows) -> None:
    """From now on ``show`` is asked first for the HTML of a record; None: it does not know it."""
    _shows.insert(0, show)


__all__ = ["Displayed", "by"]
