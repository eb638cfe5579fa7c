"""Who was at fault: an exception in a collector becomes an error with the file and line of its own code."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError

_PACKAGE = Path(__file__).resolve().parents[1]
_FRAMES = 4


@contextlib.contextmanager
def collecting(name: str, file: Path) -> Iterator[None]:
    """Around one cycle of the collector ``name`` in ``file``. Raises GcBarrierError for whatever goes wrong in it.

    Of an exception: its type, its message, and where it came from, the innermost place first. Of what the core refused
    or found, in a cycle of a user's own collector: which of its lines had asked for it.
    """
    try:
        yield
    except GcBarrierError as problem:
        if file.is_relative_to(_PACKAGE) or not (asked := _places(problem)):
            raise
        raise GcBarrierError(f"{problem} (asked for by the collector {name}: {asked})") from problem
    # A collector that ends the interpreter would end the invocation without a word.
    except (Exception, SystemExit) as problem:
        what = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
        raise GcBarrierError(f"the collector {name} raised {what} ({_places(problem)})") from problem


def _places(problem: BaseException) -> str:
    """The innermost frames that are nobody's but the collector's and of what it has imported."""
    frames = traceback.extract_tb(problem.__traceback__)
    drivers = (_PACKAGE / "session", _PACKAGE / "core")
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(drivers[0])]
    own = [frame for frame in own if not Path(frame.filename).is_relative_to(drivers[1])] or own
    told = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in reversed(own[-_FRAMES:])]
    return ", called by ".join(told)


__all__ = ["collecting"]
