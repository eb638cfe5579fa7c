"""Where a machine's constants lie once they were measured: by kernel, processor, huge pages and version, in the cache
folder."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gcbarrier.costs.constants import Constants
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import cache_home
from gcbarrier.model import from_json, to_json

KEYED = ("kernel", "processor", "stepping", "huge pages", "version", "method")
"""Of the facts: with another one of these they are measured anew."""


def place(facts: Mapping[str, str]) -> Path:
    """Of the constants of a machine with these facts. Raises GcBarrierError where there is no home."""
    digest = hashlib.sha256("\n".join(facts.get(key, "") for key in KEYED).encode()).hexdigest()[:16]
    return cache_home() / "gcbarrier" / "costs" / f"{digest}.json"


def keep(constants: Constants) -> Path:
    """Keep them; none, or all of it, is there at any time. Raises GcBarrierError where the folder can't be written."""
    path = place(constants.facts)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(to_json(constants) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(
            f"the constants can't be kept in {path.parent}: {reason}; set XDG_CACHE_HOME to a folder that you can "
            "write to"
        ) from problem
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def kept(facts: Mapping[str, str]) -> Constants | None:
    """Those of a machine with these facts; None where there are none, or none that can be read any more."""
    try:
        found = from_json(place(facts).read_text(encoding="utf-8"), Constants)
    except (OSError, ValueError, GcBarrierError):
        return None
    return found if all(found.facts.get(key) == facts.get(key) for key in KEYED) else None


__all__ = ["KEYED", "keep", "kept", "place"]
