"""One guest: a QEMU with its console, and the line to its agent."""

import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from attrs import frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.lab import qemu as qemu_command
from gcbarrier.lab.files import full_disk_explained, nameless_file
from gcbarrier.lab.image import base_archive
from gcbarrier.lab.overlay import write_overlay
from gcbarrier.lab.paths import lab_home
from gcbarrier.lab.status import Kernel, Qemu
from gcbarrier.lab.wire import Alive, Call, Decoder, Done, Failed, Hello, Message, encode

_SILENCE_S = 60.0
_TAIL_BYTES = 1 << 16


@frozen(kw_only=True)
class GuestSpec:
    """What a guest is made of. Memory is the guest's own, of which it needs about 0.4 GiB for itself."""

    kernel: Kernel
    qemu: Qemu
    memory_bytes: int
    cpus: int
    include: tuple[Path, ...]


class Guest:
    """A running guest. Close it, or use it as a context manager; it ends with this thread in any case."""

    def __init__(self, spec: GuestSpec, accelerator: str, boot_deadline_s: float) -> None:
        """Boot; ``GcBarrierError`` with the console's end if the agent has not said hello in time."""
        self.accelerator = accelerator
        self._decoder = Decoder()
        self._console = nameless_file()
        self._line, far_end = socket.socketpair()
        try:
            with far_end, _initrd(spec.include) as initrd:
                self._process = _start(spec, accelerator, initrd, far_end, self._console)
        except BaseException:
            self._line.close()
            self._console.close()
            raise
        try:
            hello = self._receive(time.monotonic() + boot_deadline_s, "booting")
            assert isinstance(hello, Hello)
            self.hello = hello
        except BaseException:
            self.close()
            raise

    def call(
        self, call: Call, what: str, deadline_s: float | None, on_message: Callable[[Message], None]
    ) -> Done | Failed:
        """Run ``call`` to its end, handing over what it says meanwhile.

        ``GcBarrierError`` says that the guest crashed, fell silent or ran over ``deadline_s`` while ``what``: not
        the job failed but the guest.
        """
        end = time.monotonic() + deadline_s if deadline_s is not None else None
        try:
            self._line.settimeout(_SILENCE_S)
            self._line.sendall(encode(call))
        except OSError:
            raise self._failure(what, None) from None
        while True:
            message = self._receive(end, what)
            if isinstance(message, Done | Failed):
                return message
            if not isinstance(message, Alive):
                on_message(message)

    def kill(self) -> None:
        """Stop the guest at once; whoever waits for it hears of it. Any thread may."""
        self._process.kill()

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

    def _receive(self, end: float | None, what: str) -> Message:
        while (message := self._decoder.message()) is None:
            now = time.monotonic()
            wait = _SILENCE_S if end is None else min(_SILENCE_S, end - now)
            ready = wait > 0 and select.select([self._line], [], [], wait)[0]
            if not ready:
                raise self._failure(what, time.monotonic() - now if end is None else None, hung=True)
            try:
                data = self._line.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                raise self._failure(what, None)
            self._decoder.feed(data)
        return message

    def _failure(self, what: str, silent_s: float | None, *, hung: bool = False) -> GcBarrierError:
        if hung and silent_s is not None:
            how = f"hung (no sign of life for {silent_s:.0f} s)"
        elif hung:
            how = "hung (it ran over its deadline)"
        else:
            try:
                how = f"crashed (QEMU ended with status {self._process.wait(5)})"
            except subprocess.TimeoutExpired:
                how = "crashed (its agent closed the line)"
        return GcBarrierError(f"the lab's guest {how} while {what}; its console ended with\n{self.console_tail()}")

    def console_tail(self) -> str:
        """The end of what the guest's console has shown."""
        handle = self._console.fileno()
        size = os.fstat(handle).st_size
        text = os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        return qemu_command.tail(text) or "  | (nothing)"


def _initrd(include: Sequence[Path]) -> IO[bytes]:
    """The guest's first file system as one file without a name."""
    with full_disk_explained(lab_home()):
        base = base_archive()
        whole = nameless_file(lab_home())
        try:
            with open(base, "rb") as source:
                left = os.fstat(source.fileno()).st_size
                while left:
                    left -= os.sendfile(whole.fileno(), source.fileno(), None, left)
            whole.seek(0, os.SEEK_END)
            write_overlay(whole, include)
            whole.flush()
        except BaseException:
            whole.close()
            raise
        return whole


def _start(
    spec: GuestSpec, accelerator: str, initrd: IO[bytes], port: socket.socket, console: IO[bytes]
) -> subprocess.Popen[bytes]:
    if shutil.which("setpriv") is None:
        raise Unavailable("the lab", "there is no setpriv to tie a guest to this process", "install util-linux")
    command = qemu_command.command(
        spec.qemu,
        spec.kernel,
        accelerator=accelerator,
        memory_bytes=spec.memory_bytes,
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
