"""What clients of recorded servers share: they wait for a server, and for the next one once it has ended."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path


def servers(path: Path) -> Iterator[socket.socket]:
    """A connection to each server that listens at ``path``, one after the other, without an end.

    One that has ended may still be listening: what is sent to it raises ConnectionError.
    """
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                time.sleep(0.02)
                continue
            yield connection
