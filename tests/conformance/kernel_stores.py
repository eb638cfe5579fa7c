"""Stores that the kernel makes for the program: seen exactly, or refused with an error, and never lost."""

import ctypes
import errno
import os
import socket
import tempfile
from collections.abc import Callable

import numpy as np

from conformance.known import known_losses
from conformance.subject import REFUSED, Subject, collect, demand, lost, write
from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked

FIRST = 600
COUNT = 5
PAGES = np.arange(FIRST, FIRST + COUNT)
BESIDE = 100
"""A page far off that the program itself writes, so that each report holds something whatever the kernel does."""

SEEN = "seen"
LOST = "lost"

_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def _target(memory: Tracked) -> memoryview:
    return memory.view[FIRST * PAGE_BYTES : (FIRST + COUNT) * PAGE_BYTES]


def _content() -> bytes:
    return os.urandom(COUNT * PAGE_BYTES)


def read_a_file(memory: Tracked) -> bytes:
    """readv(2) of a file."""
    with tempfile.TemporaryFile(buffering=0) as file:
        return _from_a_file(memory, file.fileno())


def read_a_file_directly(memory: Tracked) -> bytes:
    """The same with O_DIRECT, where the disk writes into pinned pages."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp", buffering=0) as file:
        handle = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        try:
            content = _content()
            file.write(content)
            os.fsync(file.fileno())
            with _target(memory) as target:
                assert os.readv(handle, [target]) == len(content)
            return content
        finally:
            os.close(handle)


def _from_a_file(memory: Tracked, handle: int) -> bytes:
    content = _content()
    os.pwrite(handle, content, 0)
    with _target(memory) as target:
        assert os.readv(handle, [target]) == len(content)
    return content


def read_a_pipe(memory: Tracked) -> bytes:
    """readv(2) of a pipe, whose capacity is above what is sent."""
    reader, writer = os.pipe()
    try:
        content = _content()
        os.write(writer, content)
        with _target(memory) as target:
            assert os.readv(reader, [target]) == len(content)
        return content
    finally:
        os.close(reader)
        os.close(writer)


def receive(memory: Tracked) -> bytes:
    """recv(2) of a socket."""
    here, there = socket.socketpair()
    with here, there:
        content = _content()
        there.sendall(content)
        with _target(memory) as target:
            assert here.recv_into(target, flags=socket.MSG_WAITALL) == len(content)
        return content


def write_a_process(memory: Tracked) -> bytes:
    """process_vm_writev(2) to this process, which pins the pages."""
    content = _content()
    source = ctypes.create_string_buffer(content, len(content))
    local = _Vector(ctypes.addressof(source), len(content))
    remote = _Vector(memory.address + FIRST * PAGE_BYTES, len(content))
    done = _libc.process_vm_writev(os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if done != len(content):
        raise OSError(ctypes.get_errno(), "process_vm_writev")
    return content


def write_own_memory(memory: Tracked) -> bytes:
    """/proc/self/mem, which writes as a debugger does."""
    content = _content()
    handle = os.open("/proc/self/mem", os.O_RDWR)
    try:
        assert os.pwrite(handle, content, memory.address + FIRST * PAGE_BYTES) == len(content)
    finally:
        os.close(handle)
    return content


WAYS: tuple[Callable[[Tracked], bytes], ...] = (
    *(read_a_file, read_a_file_directly, read_a_pipe, receive, write_a_process, write_own_memory),
)


def kernel_stores(subject: Subject) -> dict[str, str]:
    """For each way SEEN exactly, REFUSED, or LOST where that is known. Raises AssertionError for anything else."""
    outcomes = {}
    for way in WAYS:
        with subject.usual() as memory:
            # Twice: the second time the pages were written before, and armed by a collect.
            for _ in range(2):
                memory.arm()
                write(memory, BESIDE)
                outcomes[way.__name__] = _one_store(subject, memory, way)
        if outcomes[way.__name__] == LOST:
            # A barrier that arms what it knows to be open does not know of these pages any more.
            subject.close()
    return outcomes


def _one_store(subject: Subject, memory: Tracked, way: Callable[[Tracked], bytes]) -> str:
    try:
        content = way(memory)
    except OSError as problem:
        # /proc/self/mem calls every failure an input/output error.
        if problem.errno != (errno.EIO if way is write_own_memory else errno.EFAULT):
            raise
        assert subject.refuses, f"{way.__name__}: EFAULT, of which the barrier says nothing"
        # What was stored before the error is a store like any other, so it may be reported.
        reported = np.setdiff1d(collect(memory), subject.covered(PAGES))
        demand(subject, np.union1d(reported, [BESIDE]), BESIDE, f"{way.__name__}, refused")
        return REFUSED
    with _target(memory) as target:
        assert bytes(target) == content, f"{way.__name__}: what was stored is not there"
    reported = collect(memory)
    if way.__name__ in known_losses(subject) and lost(reported, PAGES).size:
        demand(subject, reported, BESIDE, f"{way.__name__}, not seen")
        return LOST
    demand(subject, reported, [*PAGES, BESIDE], way.__name__)
    return SEEN
