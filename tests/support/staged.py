"""A program that does what a test says, under the recorder, whose ticks the test makes: no clock, no sleep."""

import os
import select
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from places import TESTS

from gcbarrier.core.build import CFLAGS, compiler
from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.records import UFFD
from gcbarrier.page_traces.records import Mapping as Mapped
from gcbarrier.recorder import trackers
from gcbarrier.recorder.agreement import Pair
from gcbarrier.recorder.door import Door
from gcbarrier.recorder.launch import environment, preload
from gcbarrier.recorder.process import Process
from gcbarrier.recorder.watch import Watch

PAGE = 4096


def compiled(target: Path, *options: str) -> Path:
    """``tests/native/recorded.c`` as a program."""
    command = [*compiler(), *CFLAGS, "-O1", str(TESTS / "native" / "recorded.c"), *options, "-o", str(target)]
    subprocess.run(command, check=True)
    return target


class Kept:
    """A sink that keeps what it is given: of each trace its beginning, ticks (sets of addresses) and end."""

    def __init__(self) -> None:
        self.begun: list[dict[str, object]] = []
        self.initial: list[set[int]] = []
        self.ticks: list[list[set[int]]] = []
        self.faults: list[list[int]] = []
        self.ended: dict[int, str] = {}
        self.mappings: dict[int, tuple[Mapped, ...]] = {}

    def begin(self, *, initial: Runs, **rest: object) -> int:
        self.begun.append(rest)
        self.initial.append(addresses(initial))
        self.ticks.append([])
        self.faults.append([])
        return len(self.begun) - 1

    def tick(self, number: int, *, runs: Runs, faults: int, **_: int) -> None:
        self.ticks[number].append(addresses(runs))
        self.faults[number].append(faults)

    def end(self, number: int, *, ended: str, mappings: tuple[Mapped, ...]) -> None:
        self.ended[number] = ended
        self.mappings[number] = mappings


def addresses(runs: Runs) -> set[int]:
    """Each page's address; runs must ascend and not overlap."""
    flat = runs.reshape(-1).astype(np.int64)
    assert (np.diff(flat) >= 0).all()
    return {page for first, last in runs.tolist() for page in range(first, last, PAGE)}


class Stage:
    """A program that reads lines, with its standard streams as pipes; a context manager that ends it."""

    def __init__(
        self,
        *command: str | Path,
        more: Mapping[str, str] | None = None,
        bare: bool = False,
        library: Path | None = None,
        pairing: Callable[[Kept], Pair] | None = None,
    ) -> None:
        self.door = Door()
        self.kept = Kept()
        self.pair = pairing(self.kept) if pairing else None
        track = self.pair.track if self.pair else partial(trackers.track, UFFD)
        self.watch = Watch(sink=self.pair or self.kept, track=track)
        self.program = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**(os.environ if bare else self._surroundings(library)), **(more or {})},
        )
        self.greeting = self.hear()

    def _surroundings(self, library: Path | None) -> Mapping[str, str]:
        return environment(self.door.name, library or preload(), huge_pages=False)

    def hear(self) -> tuple[str, int]:
        """The next line of the program, while everybody who comes to the door is served."""
        assert self.program.stdout is not None
        out = self.program.stdout.fileno()
        text = b""
        while not text.endswith(b"\n"):
            for ready in self._ready(out):
                if ready == out:
                    letter = os.read(out, 1)
                    assert letter, "the program has ended"
                    text += letter
        word, _, number = text.decode().strip().partition(" ")
        return word, int(number or 0)

    def serve(self) -> None:
        """Everybody until the program has ended and nobody is left."""
        while self.program.poll() is None or self.watch.processes:
            list(self._ready(-1))
            for pid, process in list(self.watch.processes.items()):
                if process.has_ended():
                    self.watch.ended(pid)

    def _ready(self, out: int) -> Iterator[int]:
        wanted = [self.door.fileno(), *self.door.waiting, *([out] if out >= 0 else [])]
        for each in select.select(wanted, [], [], 0.05 if out < 0 else 20)[0]:
            if each == self.door.fileno():
                self.door.let_in()
            elif each in self.door.waiting:
                caller = self.door.hear(each)
                if caller is not None:
                    self.watch.hear(caller)
            else:
                yield each

    def say(self, what: str, *numbers: int, rest: str = "") -> int:
        """Have it do something, and what it answers."""
        self.order(what, *numbers, rest=rest)
        word, number = self.hear()
        assert word == what
        return number

    def order(self, what: str, *numbers: int, rest: str = "") -> None:
        """Have it do something that it may not answer."""
        assert self.program.stdin is not None
        padded = [*map(str, numbers), *["0"] * (2 - len(numbers))]
        self.program.stdin.write(" ".join([what, *padded, rest]).encode() + b"\n")
        self.program.stdin.flush()

    def write(self, start: int, *pages: int) -> None:
        """Store once to each of these pages behind an address."""
        self.say("write", start, 0, rest=",".join(map(str, pages)))

    def process(self, trace: int = 0) -> Process:
        """The process of a trace."""
        return next(process for process in self.watch.processes.values() if process.number == trace)

    def tick(self, start: int = 0, pages: int = 1 << 40, trace: int = 0) -> set[int]:
        """End a tick: which pages of a range were written, counted from its beginning."""
        self.watch.tick()
        return within(self.kept.ticks[trace][-1], start, pages)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()
        self.program.wait()
        for each in (self.program.stdin, self.program.stdout):
            if each is not None:
                each.close()
        self.watch.abandon()
        self.door.close()


def within(found: set[int], start: int, pages: int) -> set[int]:
    """Numbers of the pages that lie in a range."""
    return {(page - start) // PAGE for page in found if start <= page < start + pages * PAGE}
