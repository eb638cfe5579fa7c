"""The bytes of a heap dump, forwards and in pieces, decompressed where they are compressed."""

import gzip
import io
import zlib
from pathlib import Path

from gcbarrier.graphs.unfit import Unfit

PIECE_BYTES = 1 << 23
"""So much is in memory at a time: enough for thousands of records, little beside what stays of them."""

_GZIP = b"\x1f\x8b"


class Stream:
    """``data[at:]`` are the bytes that come next; ``more`` gets those behind them.

    Raises OSError where the file can't be read, and Unfit where its compression is damaged or comes to no end.
    """

    def __init__(self, path: Path) -> None:
        self.data = b""
        self.at = 0
        self._before = 0
        self._raw = path.open("rb")
        self._size = max(1, self._raw.seek(0, io.SEEK_END))
        self._raw.seek(0)
        compressed = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        self._file = gzip.GzipFile(fileobj=self._raw) if compressed else self._raw

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_failure: object) -> None:
        self._file.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """Bytes of the dump before ``at``."""
        return self._before + self.at

    @property
    def seen(self) -> int:
        """Bytes of the dump that have been read."""
        return self._before + len(self.data)

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._size)

    def have(self, count: int) -> bool:
        """Whether ``count`` bytes follow ``at``; reads on if need be, so that positions in ``data`` change."""
        if len(self.data) - self.at < count:
            self.more(count)
        return len(self.data) - self.at >= count

    def more(self, least: int = 0) -> bool:
        """Read another piece, or as many bytes as make ``least`` from ``at`` on; False where there are no more."""
        rest = self.data[self.at :]
        self._before += self.at
        piece = self._read(max(PIECE_BYTES, least - len(rest)))
        self.data, self.at = rest + piece, 0
        return bool(piece)

    def skip(self, count: int) -> bool:
        """Go ``count`` bytes on, past the end of ``data`` too; False where the file ends before."""
        while count > len(self.data) - self.at:
            count -= len(self.data) - self.at
            self.at = len(self.data)
            if not self.more():
                return False
        self.at += count
        return True

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises Unfit where there are fewer."""
        if not self.have(count):
            raise Unfit(f"it is cut short after {self.seen} bytes")
        self.at += count
        return self.data[self.at - count : self.at]

    def _read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Unfit(f"its compression is damaged or cut short ({' '.join(str(error).split())[:80]})") from error
