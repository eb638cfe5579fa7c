"""Which program can be watched: what the dynamic linker will load our object into, read from the files beforehand."""

import contextlib
import os
import shutil
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from gcbarrier.errors import GcBarrierError

_HEAD = 256
"""So much of a script's first line the kernel reads."""
_DEEPEST = 5
"""So many interpreters, one a script of the other, the kernel follows."""
_ANY_ORDER = "verify_asan_link_order=0"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 1, 5, 10
_ELF_BYTES = 64
_EI_CLASS, _EI_DATA, _E_MACHINE = 4, 5, slice(18, 20)
_HEADERS_AT, _HEADERS_ARE, _SEGMENT = struct.Struct("=32xQ"), struct.Struct("=54xHH"), struct.Struct("=I4xQQ8xQ")
"""Of 64 bits: where the program headers begin; size and number of them; of one, its type, its offset in the file, its
address in memory, and its size in the file.
"""
_DYNAMIC = struct.Struct("=QQ")
"""Tag and value of an entry of the dynamic section."""
_MOST_BYTES = 1 << 20


def find(command: Sequence[str]) -> Path:
    """The file that this command executes, as a shell looks for it. Raises GcBarrierError where there is none."""
    name = command[0]
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    path = Path(name)
    if "/" in name and path.is_dir():
        raise GcBarrierError(f"{name} is a folder: name a program")
    if "/" in name and path.exists():
        raise GcBarrierError(f"{name} is not executable: make it so (chmod +x), or name its interpreter before it")
    where = "there is no file" if "/" in name else "no program in PATH is called"
    raise GcBarrierError(f"{where} {name}: check the command")


def why_not(path: Path | str, depth: int = 0) -> str:
    """Why nothing can be loaded into the program of this file: a clause; "": it can."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            if head[:4] == b"\x7fELF":
                file.seek(0)
                return _privileged(path) or _elf(file.read(1 << 16)) or _sanitized(file)
    except OSError as problem:
        return f"it can't be read ({os.strerror(problem.errno or 0)})"
    if head[:2] != b"#!":
        return "it is neither a program of this system's nor a script whose first line names an interpreter (#!)"
    words = head[2:].partition(b"\n")[0].split(None, 1)
    if not words:
        return "its first line names no interpreter"
    if depth >= _DEEPEST:
        return "its interpreter is a script of another, and so on without an end"
    interpreter = os.fsdecode(words[0])
    why = why_not(interpreter, depth + 1)
    return f"of its interpreter {interpreter}: {why}" if why else ""


def _privileged(path: Path | str) -> str:
    """Why the dynamic linker will not trust its environment (``AT_SECURE``)."""
    found = os.stat(path)
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return ""
    for bit, who, owner, ours in (
        (stat.S_ISUID, "user", found.st_uid, os.getuid()),
        (stat.S_ISGID, "group", found.st_gid, os.getgid()),
    ):
        if found.st_mode & bit and owner != ours:
            return f"it runs as another {who} than who starts it (set{who[0]}id), and takes no preloaded library"
    if os.getuid() != 0:
        try:
            os.getxattr(path, "security.capability")
        except OSError:
            return ""
        return "it has capabilities of its own, and takes no preloaded library"
    return ""


def _elf(text: bytes) -> str:
    if len(text) < _ELF_BYTES:
        return "it is cut off"
    own = _header(Path("/proc/self/exe"))
    if text[_EI_CLASS] != own[_EI_CLASS]:
        return f"it is a program of {32 * text[_EI_CLASS]} bits, and ours has {32 * own[_EI_CLASS]}"
    if text[_EI_DATA] != own[_EI_DATA] or text[_E_MACHINE] != own[_E_MACHINE]:
        return "it is made for another kind of processor"
    linker = _interpreter(text)
    if not linker:
        return "it is statically linked: nothing can be loaded into it"
    name = os.path.basename(linker)
    if not name.startswith(("ld-linux", "ld64")):
        return f"it is linked with another C library than ours ({name})"
    return ""


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_ELF_BYTES)


def _segments(text: bytes) -> Iterator[tuple[int, int, int, int]]:
    (start,), (size, count) = _HEADERS_AT.unpack_from(text), _HEADERS_ARE.unpack_from(text)
    with contextlib.suppress(struct.error, OverflowError):  # a damaged file, which the kernel will refuse
        for each in range(start, start + size * count, size or 1):
            yield _SEGMENT.unpack_from(text, each)


def _interpreter(text: bytes) -> str:
    """What a program's ``PT_INTERP`` names; "" where there is none."""
    for kind, offset, _, length in _segments(text):
        if kind == _PT_INTERP:
            return os.fsdecode(text[offset : offset + length].rstrip(b"\0"))
    return ""


def _sanitized(file: BinaryIO) -> str:
    """Why a program ends at once where anything is loaded before its address sanitizer, and what has it do without."""
    told = os.environ.get("ASAN_OPTIONS", "")
    for name in _needed(file):
        if (
            name.startswith("libasan.so")
            and "libasan" not in os.environ.get("LD_PRELOAD", "")
            and _ANY_ORDER not in told
        ):
            options = f"{told}:{_ANY_ORDER}" if told else _ANY_ORDER
            return f"its address sanitizer wants to be loaded before all else, unless ASAN_OPTIONS={options}"
    return ""


def _needed(file: BinaryIO) -> Iterator[str]:
    """Names of the libraries that a program is linked with (``DT_NEEDED``)."""

    def part(offset: int, size_bytes: int) -> bytes:
        file.seek(offset)
        return file.read(min(size_bytes, _MOST_BYTES))

    # Whatever is damaged the kernel and the dynamic linker will refuse.
    with contextlib.suppress(struct.error, OverflowError, ValueError, KeyError):
        segments = list(_segments(part(0, 1 << 16)))
        for _, offset, _, length in (each for each in segments if each[0] == _PT_DYNAMIC):
            entries = list(_DYNAMIC.iter_unpack(part(offset, length // _DYNAMIC.size * _DYNAMIC.size)))
            at, size = dict(entries)[_DT_STRTAB], dict(entries)[_DT_STRSZ]
            names = b"".join(
                part(start + at - address, size)
                for kind, start, address, length in segments
                if kind == _PT_LOAD and address <= at < address + length
            )
            yield from (os.fsdecode(names[name:].partition(b"\0")[0]) for tag, name in entries if tag == _DT_NEEDED)
