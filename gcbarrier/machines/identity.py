"""Which machine this is, in a word that names nobody: results of two alike machines stay apart by it."""

import hashlib
from pathlib import Path

_PLACES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def host_id() -> str:
    """Eight letters that are the same for all that runs on this system, also after a reboot; "" where nothing tells.

    A digest of what the system was given when it was installed, which as it is is to be told to nobody (machine-id(5)).
    """
    for place in _PLACES:
        try:
            told = Path(place).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if told:
            return hashlib.sha256(f"gcbarrier {told}".encode()).hexdigest()[:8]
    return ""


__all__ = ["host_id"]
