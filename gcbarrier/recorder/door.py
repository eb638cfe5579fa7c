"""Where watched processes introduce themselves: a Unix socket without a file, which goes with the recorder."""

import array
import contextlib
import errno
import os
import secrets
import socket
import struct

from attrs import frozen

from gcbarrier.primitives import Userfaultfd

BEGINS, FORKED, ENDS, GIVES_WAY = 1, 2, 3, 4
"""What a process has to say; ``preload.c`` has these numbers as well."""
VARIABLE = "GCBARRIER_RECORD"
HUGE_PAGES_VARIABLE = "GCBARRIER_RECORD_HUGE_PAGES"
FILTERS_VARIABLE = "GCBARRIER_RECORD_FILTERS"
"""How many seccomp filters the recorder has: who has others is not to introduce itself, as that may be forbidden it."""

_MESSAGE = struct.Struct("=IiQQ")
_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 4096


@frozen(kw_only=True)
class Caller:
    """A process that says something and waits for the answer."""

    kind: int
    """``BEGINS``, ``FORKED``, ``ENDS`` or ``GIVES_WAY``."""
    pid: int
    error: int
    """Why it could not open a userfaultfd; 0: it could."""
    start: int
    size_bytes: int
    uffd: Userfaultfd | None
    line: socket.socket

    def answer(self, yes: bool) -> None:
        """Let it go on; watched, or ``yes`` being false, not. What it has handed over is not closed."""
        with contextlib.suppress(OSError):  # it may have been killed meanwhile
            self.line.send(b"y" if yes else b"n")
        self.line.close()


class Door:
    """A listening socket, and those who have come but not spoken."""

    def __init__(self) -> None:
        self.name = f"gcbarrier-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{self.name}")
        self._socket.listen(_BACKLOG)
        self.turned_away = 0
        """So many there was no room for: no more files can be open."""
        self._spare = _spare()
        self.waiting: dict[int, tuple[socket.socket, int]] = {}
        """By their descriptors: those that have not spoken, and their process numbers."""

    def fileno(self) -> int:
        """Readable when somebody has come."""
        return self._socket.fileno()

    def let_in(self) -> list[int]:
        """Descriptors of those who have come; each is readable when it has spoken."""
        came = []
        with contextlib.suppress(BlockingIOError):
            while True:
                if (line := self._accepted()) is None:
                    continue
                line.setblocking(False)
                pid, user, _ = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                # Others can see the name, and have no business here. A program of root's may have changed its user.
                if os.geteuid() not in (0, user) or pid <= 0:
                    line.close()
                    continue
                self.waiting[line.fileno()] = (line, pid)
                came.append(line.fileno())
        return came

    def _accepted(self) -> socket.socket | None:
        """The next one; None, and it goes on unwatched, where no more files can be open."""
        try:
            return self._socket.accept()[0]
        except OSError as problem:
            if problem.errno not in (errno.EMFILE, errno.ENFILE) or self._spare is None:
                raise
        self._spare.close()
        try:
            self._socket.accept()[0].close()
            self.turned_away += 1
        finally:
            self._spare = _spare()
        return None

    def hear(self, descriptor: int) -> Caller | None:
        """What it has to say; None: it went away, or talks nonsense."""
        line, pid = self.waiting.pop(descriptor)
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        handed: list[int] = []
        try:
            text, ancillary, _, _ = line.recvmsg(_MESSAGE.size, room, socket.MSG_CMSG_CLOEXEC)
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    handed += array.array("i", data[: len(data) // 4 * 4])
            kind, error, start, size_bytes = _MESSAGE.unpack(text)
        except (OSError, struct.error):
            for each in handed:
                os.close(each)
            line.close()
            return None
        for each in handed[1:]:  # there is room for two, and one is wanted
            os.close(each)
        uffd = Userfaultfd.of_another(handed[0]) if handed else None
        return Caller(kind=kind, pid=pid, error=error, start=start, size_bytes=size_bytes, uffd=uffd, line=line)

    def close(self) -> None:
        """Whoever waits goes on unwatched."""
        for line, _ in self.waiting.values():
            line.close()
        self._socket.close()
        if self._spare is not None:
            self._spare.close()


def _spare() -> socket.socket | None:
    """A descriptor to be given up for another; None where there is not even one."""
    try:
        return socket.socket(socket.AF_UNIX)
    except OSError:
        return None
