"""One guest: a QEMU with its console, and the line to its agent."""

import math
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.lab import qemu as qemu_command
from gcbarrier.machines.lab.files import full_disk_explained, nameless_file
from gcbarrier.machines.lab.image import base_archive
from gcbarrier.machines.lab.overlay import check_room, write_overlay
from gcbarrier.machines.lab.paths import lab_home
from gcbarrier.machines.lab.status import Kernel, Qemu
from gcbarrier.machines.lab.wire import Alive, Call, Decoder, Done, Failed, Hello, Message, encode
from gcbarrier.model import format_bytes

_SILENCE_S = 60.0
_TAIL_BYTES = 1 << 16
_STOP_CHECK_S = 0.2
_KERNEL_BYTES = 64 << 20
# The archive lies in memory while it is unpacked, and the kernel lets files take half of what is left.
_COPIES = 3


class GuestLost(Exception):  # noqa: N818 - between these modules only; the user meets a GcBarrierError made of it
    """The guest crashed, hung or was stopped: ``how``, and the end of its ``console``."""

    def __init__(self, how: str, console: str) -> None:
        self.how = how
        self.console = console
        super().__init__(f"{how}; its console ended with\n{console}")


@frozen(kw_only=True)
class GuestSpec:
    """What a guest is made of.

    ``memory_bytes`` is the guest's own, of which it needs about 0.4 GiB for itself, and ``huge_bytes`` of it are set
    aside as huge pages; it finds ``include`` (files and folders) at the same paths, and of the ``search`` folders what
    :mod:`gcbarrier.plugins.discovery` looks for in them.
    """

    kernel: Kernel
    qemu: Qemu
    memory_bytes: int
    cpus: int
    huge_bytes: int = 0
    include: tuple[Path, ...] = ()
    search: tuple[Path, ...] = ()
    icount: bool = False
    """Its clock counts the instructions it executes (``tcg-icount``)."""


class Guest:
    """A running guest. Close it, or use it as a context manager; it ends with this thread in any case."""

    def __init__(self, spec: GuestSpec, accelerator: str, boot_deadline_s: float, stop: threading.Event) -> None:
        """Boot; ``GuestLost`` if the agent has not said hello in time. Once ``stop`` is set, waiting ends with that."""
        self.spec = spec
        self.accelerator = accelerator
        self._stop = stop
        self._decoder = Decoder()
        self._console = nameless_file()
        self._line, far_end = socket.socketpair()
        try:
            with far_end, _initrd(spec) as initrd:
                self._process = _start(spec, accelerator, initrd, far_end, self._console)
        except BaseException:
            self._line.close()
            self._console.close()
            raise
        try:
            hello = self._receive(time.monotonic() + boot_deadline_s, f"it did not start within {boot_deadline_s:g} s")
            assert isinstance(hello, Hello)
            self.hello = hello
        except BaseException:
            self.close()
            raise

    def call(self, call: Call, deadline_s: float | None, on_message: Callable[[Message], None]) -> Done | Failed:
        """Run ``call`` to its end, handing over what it says meanwhile.

        ``GuestLost`` says that the guest crashed, fell silent or ran over ``deadline_s``: not the job failed but the
        guest.
        """
        end = time.monotonic() + deadline_s if deadline_s is not None else math.inf
        try:
            self._line.settimeout(_SILENCE_S)
            self._line.sendall(encode(call))
        except OSError:
            raise self._lost() from None
        while True:
            silence = time.monotonic() + _SILENCE_S
            if end < silence:
                message = self._receive(end, f"it took longer than {deadline_s:g} s")
            else:
                message = self._receive(silence, f"no sign of life for {_SILENCE_S:g} s")
            if isinstance(message, Done | Failed):
                return message
            if not isinstance(message, Alive):
                on_message(message)

    def close(self) -> None:
        """Stop the guest and leave nothing of it."""
        self._process.kill()
        self._process.wait()
        self._line.close()
        self._console.close()

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, end: float, why: str) -> Message:
        """The next message; ``GuestLost`` for the reason ``why`` if it has not come by the time ``end``."""
        while (message := self._decoder.message()) is None:
            if self._stop.is_set():
                raise self._lost("was stopped")
            now = time.monotonic()
            if now >= end:
                raise self._lost(f"hung ({why})")
            if not select.select([self._line], [], [], min(_STOP_CHECK_S, end - now))[0]:
                continue
            try:
                data = self._line.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                raise self._lost()
            self._decoder.feed(data)
        return message

    def _lost(self, how: str = "") -> GuestLost:
        # Waited for first: what it says while it ends is the most telling.
        how = how or f"crashed ({self._how_it_ended()})"
        return GuestLost(how, self.console_tail())

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "its agent closed the line"
        panic = re.search(rb"Kernel panic - not syncing: [ -~]*", self._console_end())
        return panic.group().decode() if panic else f"QEMU ended with status {status}"

    def console_tail(self) -> str:
        """The end of what the guest's console has shown."""
        return qemu_command.tail(self._console_end()) or "  | (nothing)"

    def _console_end(self) -> bytes:
        handle = self._console.fileno()
        size = os.fstat(handle).st_size
        return os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES))


def _initrd(spec: GuestSpec) -> IO[bytes]:
    """The guest's first file system as one file without a name; ``GcBarrierError`` if its memory can't hold it."""
    with full_disk_explained(lab_home()):
        base = base_archive()
        base_bytes = base.stat().st_size
        _check_room(spec, base_bytes)
        # Before any of it is read: a folder may well hold more than this machine's memory and disk.
        room_bytes = (spec.memory_bytes - spec.huge_bytes - _KERNEL_BYTES) // _COPIES - base_bytes
        check_room(spec.include, spec.search, room_bytes)
        whole = nameless_file(lab_home())
        try:
            with open(base, "rb") as source:
                left = os.fstat(source.fileno()).st_size
                while left:
                    left -= os.sendfile(whole.fileno(), source.fileno(), None, left)
            whole.seek(0, os.SEEK_END)
            write_overlay(whole, include=spec.include, search=spec.search, kernel=spec.kernel)
            whole.flush()
            _check_room(spec, whole.tell())
        except BaseException:
            whole.close()
            raise
        return whole


def _check_room(spec: GuestSpec, archive_bytes: int) -> None:
    needed = _COPIES * archive_bytes + _KERNEL_BYTES + spec.huge_bytes
    if spec.memory_bytes < needed:
        raise GcBarrierError(
            f"a guest of {format_bytes(spec.memory_bytes)} can't hold the {format_bytes(archive_bytes)} of files that "
            f"it starts with: give it {-(-needed >> 20)} MiB or more"
        )


def _start(
    spec: GuestSpec, accelerator: str, initrd: IO[bytes], port: socket.socket, console: IO[bytes]
) -> subprocess.Popen[bytes]:
    command = qemu_command.command(
        spec.qemu,
        spec.kernel,
        accelerator=accelerator,
        memory_bytes=spec.memory_bytes,
        huge_bytes=spec.huge_bytes,
        cpus=spec.cpus,
        initrd=initrd.fileno(),
        port=port.fileno(),
    )
    return subprocess.Popen(
        command,
        env=spec.qemu.environment(),
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        pass_fds=(initrd.fileno(), port.fileno()),
        # Ctrl-C on the terminal is for us; we stop the guest ourselves.
        start_new_session=True,
    )
