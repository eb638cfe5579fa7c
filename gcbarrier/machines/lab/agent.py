"""The guest's side: takes calls from the host, runs each in a process of its own and passes on what comes of it."""

import contextlib
import faulthandler
import importlib
import os
import select
import signal
import time
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.children import death
from gcbarrier.machines.lab.calls import run_call
from gcbarrier.machines.lab.wire import PORT, Alive, Call, Decoder, Failed, Hello, Message, Output, encode

_HEARTBEAT_S = 1.0


def main() -> None:
    """Serve the host until it goes away."""
    faulthandler.enable()
    agent = Agent(_open_port())
    agent.send(_hello())
    while (call := agent.receive()) is not None:
        agent.run(call)


class Agent:
    """The agent's end of the port to the host."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._decoder = Decoder()

    def send(self, message: Message) -> None:
        """Say something to the host."""
        self._send_bytes(encode(message))

    def receive(self) -> Call | None:
        """The next call, or nothing once the host has gone."""
        while (message := self._decoder.message()) is None:
            data = os.read(self._port, 1 << 20)
            if not data:
                return None
            self._decoder.feed(data)
        assert isinstance(message, Call)
        return message

    def run(self, call: Call) -> None:
        """Run one call to its end."""
        _preload(call.module)
        pipes = [os.pipe() for _ in range(3)]
        child = os.fork()
        if child == 0:
            os.close(self._port)
            for read_end, _ in pipes:
                os.close(read_end)
            run_call(call, *(write_end for _, write_end in pipes))
        for _, write_end in pipes:
            os.close(write_end)
        results, stdout, stderr = (read_end for read_end, _ in pipes)
        ended = os.pidfd_open(child)
        said = self._relay(results, {stdout: 1, stderr: 2}, ended)
        for read_end in (results, stdout, stderr, ended):
            os.close(read_end)
        _, status = os.waitpid(child, 0)
        # What a job leaves running would disturb the next one's measurements.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        # Its status tells nothing: exit(0) in a mutator's C looks like a job that ended well.
        if not said:
            how = death(os.waitstatus_to_exitcode(status))
            self.send(Failed(error=GcBarrierError(f"the job's process in the lab's guest {how}")))

    def _relay(self, results: int, streams: dict[int, int], ended: int) -> bool:
        """Pass on what a job says until it closes its end of ``results`` or has ended; whether it said its outcome."""
        decoder = Decoder()
        said = False
        poller = select.poll()
        # A child that a job leaves running may keep the job's end of the pipe open.
        for end in (results, ended):
            poller.register(end, select.POLLIN)
        os.set_blocking(results, False)
        for end in streams:
            poller.register(end, select.POLLIN)
            os.set_blocking(end, False)
        while True:
            ready = {end for end, _ in poller.poll(_HEARTBEAT_S * 1000)}
            data = _read(results)
            # Output first: what was printed before the result comes before it.
            for end, stream in streams.items():
                if self._pass_output(end, stream):
                    poller.unregister(end)
                    streams = {other: number for other, number in streams.items() if other != end}
            if data == b"" or (data is None and ended in ready):
                return said
            decoder.feed(data or b"")
            while (frame := decoder.frame()) is not None:
                if frame:
                    self._send_bytes(len(frame).to_bytes(8, "little") + frame)
                else:
                    said = True
            if not ready:
                self.send(Alive())

    def _pass_output(self, end: int, stream: int) -> bool:
        """Pass on what can be read without waiting; whether the writers have all gone."""
        # One read takes all that a pipe holds; looping here, a job that never stops printing would never be done.
        data = _read(end)
        if data:
            self.send(Output(stream=stream, data=data))
        return data == b""

    def _send_bytes(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._port, rest) :]


def _read(end: int) -> bytes | None:
    """What can be read without waiting: nothing yet is ``None``, nothing ever again is empty."""
    try:
        return os.read(end, 1 << 18)
    except BlockingIOError:
        return None


def _preload(module: str) -> None:
    """Import what jobs use once and not in every job; if that fails, the job itself will say so."""
    # A library's idle threads don't survive a fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with contextlib.suppress(Exception):
        importlib.import_module(module)
    del os.environ["OPENBLAS_NUM_THREADS"]


def _open_port() -> int:
    for _ in range(200):
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == PORT:
                return os.open(f"/dev/{name.parent.name}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.05)
    raise GcBarrierError(f"the guest has no port {PORT}")


def _hello() -> Hello:
    clocksource = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    return Hello(
        kernel_release=os.uname().release,
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        clocksource=clocksource.read_text().strip(),
    )


if __name__ == "__main__":
    main()
