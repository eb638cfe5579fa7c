"""What a curve looks like: a colour and a marker for each name, whatever company it keeps. No drawing here."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from attrs import evolve, frozen


@frozen(kw_only=True)
class Look:
    """Of a curve, a mark, and their sample in the key."""

    colour: str
    marker: str = "o"
    dashed: bool = False


# Okabe and Ito's colours, which stay apart for colour-blind readers. The barriers people will compare most often have
# theirs for good, so that a reader need not learn the key anew for each figure; markers do the same without colours.
_KNOWN = {
    "none": Look(colour="#555555", marker="o"),
    "uffd-wp-log": Look(colour="#D55E00", marker="s"),
    "uffd-wp-async": Look(colour="#0072B2", marker="^"),
    "uffd-wp-pagemap": Look(colour="#E69F00", marker="D"),
    "soft-dirty": Look(colour="#009E73", marker="v"),
    "cards": Look(colour="#CC79A7", marker="P"),
    "mprotect": Look(colour="#56B4E9", marker="X"),
}
_SPARE = ("#882255", "#999933", "#332288", "#661100", "#9467BD")
_SPARE_MARKERS = "*<>phd"
_PALETTE = ("#0077BB", "#EE7733", "#009988", "#CC3311", "#EE3377", "#555555")
MARKERS = "os^DvP*X<>"


def sort_key(barrier: str) -> tuple[int, str]:
    """Barriers in the order of their colours: the baseline first, newcomers by name at the end."""
    known = list(_KNOWN)
    return (known.index(barrier) if barrier in known else len(known), barrier)


def barrier_look(barrier: str) -> Look:
    """The look of a barrier. One not known beforehand gets it from its name alone, and keeps it in every figure."""
    if barrier in _KNOWN:
        return _KNOWN[barrier]
    # Not hash(): Python salts it anew in each process.
    which, rest = crc32(barrier.encode()) % len(_SPARE), crc32(barrier.encode()) // len(_SPARE)
    return Look(colour=_SPARE[which], marker=_SPARE_MARKERS[rest % len(_SPARE_MARKERS)])


def variant(look: Look, which: int) -> Look:
    """The same barrier once more (``which`` from 0 on), under another collector: a shade of its colour, another
    marker, dashes.
    """
    if not which:
        return look
    others = MARKERS.replace(look.marker, "")
    shade = 1 - 0.65**which
    parts = [int(look.colour[at : at + 2], 16) for at in (1, 3, 5)]
    colour = "#" + "".join(
        f"{round(part + (255 - part) * shade * 0.8) if which % 2 else round(part * 0.6):02X}" for part in parts
    )
    return evolve(look, colour=colour, marker=others[(MARKERS.find(look.marker) + which) % len(others)], dashed=True)


def palette(names: Sequence[str]) -> Mapping[str, Look]:
    """Looks for names that are no barriers', in their order."""
    return {
        name: Look(colour=_PALETTE[at % len(_PALETTE)], marker=MARKERS[at % len(MARKERS)])
        for at, name in enumerate(names)
    }


__all__ = ["MARKERS", "Look", "barrier_look", "palette", "sort_key", "variant"]
