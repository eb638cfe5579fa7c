"""What host and guest say to each other: pickled records, each after its length.

Both ends hold the same package, and the host started the guest itself, so pickles are trusted here.
"""

import pickle
import struct
from collections.abc import Mapping
from typing import Any

from attrs import frozen

PORT = "gcbarrier.agent"
_LENGTH = struct.Struct("<Q")
END = _LENGTH.pack(0)
"""An empty frame: a job's last word to the agent, which can tell by it that the outcome has been said."""


@frozen(kw_only=True)
class Hello:
    """The guest's first word: it is up, and this is what it sees."""

    kernel_release: str
    cpus: int
    memory_bytes: int
    clocksource: str


@frozen(kw_only=True)
class Call:
    """Host to guest: run this. ``job`` is a pickled ``(function, args, kwargs)``.

    ``environment`` holds variables that are set before the job is even unpickled.
    """

    module: str
    job: bytes
    environment: Mapping[str, str]


@frozen(kw_only=True)
class Alive:
    """Guest to host, every second while a job runs."""


@frozen(kw_only=True)
class Output:
    """What a job printed: ``stream`` 1 is its standard output, 2 its standard error."""

    stream: int
    data: bytes


@frozen(kw_only=True)
class Progress:
    """What a job reported while it ran."""

    value: Any


@frozen(kw_only=True)
class Done:
    """A job's result."""

    value: Any


@frozen(kw_only=True)
class Failed:
    """The exception that a job raised, with its traceback in its notes."""

    error: BaseException


Message = Hello | Call | Alive | Output | Progress | Done | Failed


def encode(message: Message) -> bytes:
    """The bytes that stand for ``message``."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        self._buffer += data

    def frame(self) -> bytes | None:
        """The next whole frame without its length, or nothing yet."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + size
        if len(self._buffer) < end:
            return None
        frame = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        return frame

    def message(self) -> Message | None:
        """The next whole message, or nothing yet."""
        frame = self.frame()
        if frame is None:
            return None
        message: Message = pickle.loads(frame)
        return message
