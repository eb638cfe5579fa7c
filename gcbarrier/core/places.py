"""Places in compiled code, ``<library+0xoffset>`` as ``native/base/frames.c`` has it: functions, files and lines."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

_PLACE = re.compile(r"<([^<>\n]+)\+(0x[0-9a-f]+)>")
# Whose lines nobody wants to read of: what stands there is inlined into who does.
_INLINED = ("include/gcbarrier.h", "include/stress.h")


def named(text: str) -> str:
    """``text`` with its places named as well as this machine can: ``gcb_load in gcb_mutate (ring/mutator.c:25)``.

    Of a library that isn't here, or without debugging information, what is left is the library's own name.
    """
    return _PLACE.sub(lambda found: _name(found[1], found[2]), text)


@functools.cache
def _name(library: str, offset: str) -> str:
    plain = f"{Path(library).name}+{offset}"
    tool = shutil.which("addr2line")
    if tool is None or not Path(library).is_file():
        return plain
    asked = [tool, "-f", "-i", "-e", library, offset]
    done = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    frames = [(function, place.partition(" ")[0]) for function, place in zip(lines[::2], lines[1::2], strict=False)]
    called, own = "", [frame for frame in frames if not _is_inlined(frame[1])]
    for function, place in frames:
        # The outermost of these is what the program has called; what it is made of is no news.
        if not _is_inlined(place):
            break
        called = f"{function} in "
    if not own or own[0][0] == "??":
        return plain
    function, place = own[0]
    return f"{called}{function}" if place.startswith("?") else f"{called}{function} ({_short(place)})"


def _is_inlined(place: str) -> bool:
    return place.rpartition(":")[0].endswith(_INLINED)


def _short(place: str) -> str:
    """File and line, with the file's folder: every heap has a ``mutator.c``."""
    return "/".join(place.split("/")[-2:])


__all__ = ["named"]
