"""The map of the house (gcbarrier/README.md), read."""

import re

from places import CHECKOUT

PACKAGE = CHECKOUT / "gcbarrier"
MAP = (PACKAGE / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> tuple[str, ...]:
    """The first column of the table that begins with this heading."""
    table = MAP.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


ROOMS = rows("room")
"""Top down."""
