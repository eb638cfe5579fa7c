"""Words of a table that remember what they say: a terminal prints them, a page sorts by what is behind them."""

from rich.text import Text


class Numbered(Text):
    """The words of one place in a table, and the number that they write.

    A name that a table says once for several of its rows is blank in the others, and ``whole`` there all the same.
    """

    value: float | None
    """In the unit's own size (ns, bytes); None: it is no number."""
    whole: str
    """What is said, also where the terminal has a blank for it."""

    def __init__(self, words: str, value: float | None = None, *, again: bool = False) -> None:
        """``again``: the row above has said so already."""
        super().__init__("" if again else words)
        self.value = value
        self.whole = words


__all__ = ["Numbered"]
