"""A writer of cpio "newc" archives, the format in which Linux takes its first file system.

Several archives one after the other are one file system to the kernel: later files replace earlier ones.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import IO

from gcbarrier.errors import GcBarrierError

# The format counts in 32 bits.
_LARGEST_BYTES = (1 << 32) - 1


class CpioWriter:
    """Adds files at absolute paths, with the folders and links on the way to them, each once.

    Everything belongs to root and everyone may read it: the guest must also serve an unprivileged user. Links may lead
    into the folders ``mounted``, of which nothing is added: the guest has its own there.
    """

    def __init__(self, out: IO[bytes], mounted: Collection[str] = ()) -> None:
        self._out = out
        self._mounted = mounted
        self._position = 0
        self._inode = 0
        self._known: set[str] = {"/"}

    def add_path(self, path: str) -> None:
        """Add what is at ``path`` on this machine: a file, an empty folder, or a link and what it leads to.

        ``GcBarrierError`` for a file of 4 GiB or more.
        """
        pending = [part for part in path.split("/") if part]
        done = ""
        hops = 0
        while pending:
            step = f"{done}/{pending.pop(0)}"
            if os.path.islink(step):
                target = os.readlink(step)
                self._add(step, stat.S_IFLNK | 0o777, target.encode(), 0)
                hops += 1
                if hops > 40:
                    raise OSError(f"too many symbolic links on the way to {path}")
                whole = os.path.normpath(os.path.join(os.path.dirname(step), target, *pending))
                pending, done = [part for part in whole.split("/") if part], ""
                continue
            done = step
            if step in self._mounted:
                return
            info = os.stat(step)
            if stat.S_ISDIR(info.st_mode):
                self.add_folder(step)
            elif stat.S_ISREG(info.st_mode):
                self._add_regular(step, info)

    def add_folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder; its parents must have been added."""
        self._add(path, stat.S_IFDIR | mode, b"", 0)

    def add_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file with the given content, and its parent folders."""
        for parent in reversed(Path(path).parents):
            self.add_folder(str(parent))
        self._add(path, stat.S_IFREG | mode, content, 0)

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode(), 0)

    def finish(self) -> None:
        """Write the trailer; padded, so that another archive may follow."""
        self._header("TRAILER!!!", 0, 0, 0)
        self._pad(512)

    def _add_regular(self, path: str, info: os.stat_result) -> None:
        if path in self._known:
            return
        if info.st_size > _LARGEST_BYTES:
            raise GcBarrierError(f"{path} is too large for a guest, which takes files of less than 4 GiB: leave it out")
        mode = 0o755 if info.st_mode & 0o111 else 0o644
        # The modification time must survive: Python compares it with the one in a compiled module.
        self._add(path, stat.S_IFREG | mode, Path(path).read_bytes(), int(info.st_mtime))

    def _add(self, path: str, mode: int, content: bytes, mtime: int) -> None:
        if path in self._known:
            return
        self._known.add(path)
        self._header(path.lstrip("/"), mode, len(content), mtime)
        self._write(content)
        self._pad(4)

    def _header(self, name: str, mode: int, size: int, mtime: int) -> None:
        self._inode += 1
        encoded = os.fsencode(name) + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        numbers = (self._inode, mode, 0, 0, links, mtime & 0xFFFFFFFF, size, 0, 0, 0, 0, len(encoded), 0)
        self._write(b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded)
        self._pad(4)

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._position += len(data)

    def _pad(self, to: int) -> None:
        self._write(b"\0" * (-self._position % to))
