"""A process in which scripts are played on the real heap, one after the other, until one of them breaks it."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen
from places import PLUGINS

from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery
from gcbarrier.session import ours as session

_PATIENCE_S = 15.0


@frozen(kw_only=True)
class Mutant:
    """A core that is wrong on purpose: ``old`` in one of its sources, which has it once, becomes ``new``."""

    source: str
    old: str
    new: str


@frozen(kw_only=True)
class Played:
    """What came of a script."""

    error: str
    checksum: int
    operations: int
    cycles: int


class Stage:
    """Plays scripts with ``config`` in one child process; a context manager. A crash ends it and says how."""

    def __init__(self, config: Config, mutant: Mutant | None = None) -> None:
        self._config = config
        self._mutant = mutant
        self._executor = FreshExecutor(deadline_s=300, environment=build.preload())

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory(prefix="puppet-") as folder, Listener(f"{folder}/stage") as listener:
            address = str(listener.address)
            self._ended: Future[None] = self._executor.submit(_serve, address, self._config, self._mutant)
            # A child that fails before it calls would be waited for without an end.
            self._ended.add_done_callback(lambda _: _hang_up(address))
            self._line: Connection = listener.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        self._executor.shutdown(cancel_futures=kind is not None)

    def play(self, blob: bytes) -> Played:
        """Raises GcBarrierError where the process crashed or hung."""
        try:
            self._line.send_bytes(blob)
            if not self._line.poll(_PATIENCE_S):
                self._executor.shutdown(cancel_futures=True)
                raise GcBarrierError(f"hung: a script takes more than {_PATIENCE_S:.0f} s")
            played: Played = self._line.recv()
        except (EOFError, OSError):
            self._ended.result()  # raises what ended it
            raise
        return played


def _hang_up(address: str) -> None:
    with contextlib.suppress(OSError):  # it has been answered long ago
        Client(address).close()


def _serve(address: str, config: Config, mutant: Mutant | None) -> None:
    discovery.add_path(PLUGINS)
    with Client(address) as line, tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        if mutant:
            build.NATIVE = _mutated(mutant, Path(folder) / "native")
        _linger()
        (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=1, accelerator="native")
        while True:
            try:
                blob = line.recv_bytes()
            except EOFError:
                return
            job = evolve(step.job, program=evolve(step.job.program, blob=blob))
            outcome = session.run(job).record
            played = Played(
                error=outcome.error,
                checksum=outcome.checksum,
                operations=outcome.operations,
                cycles=len(outcome.cycles),
            )
            line.send(played)


def _linger() -> None:
    """Let the concurrent part of a cycle take long, its beginning above all: what is stored then is what gets lost."""
    for name in ("arm", "mark", "rescan"):
        phase = getattr(Heap, name)

        def slowly(heap: Heap, *, phase: Callable[..., None] = phase, **given: bool) -> None:
            phase(heap, **given)
            time.sleep(300e-6 if phase.__name__ == "arm" else 100e-6)

        setattr(Heap, name, slowly)


def _mutated(mutant: Mutant, folder: Path) -> Path:
    shutil.copytree(build.NATIVE, folder)
    source = folder / mutant.source
    text = source.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.source} no longer has this once: {mutant.old}"
    source.write_text(text.replace(mutant.old, mutant.new))
    return folder
