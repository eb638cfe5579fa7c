"""An invocation that was made ready beforehand, on the machine that it is for. What runs it imports little."""

import pickle
from pathlib import Path

from attrs import evolve, frozen

from gcbarrier.core.build import Plugin
from gcbarrier.model import Config, Finding, Measured, Outcome


@frozen(kw_only=True)
class KeptJob:
    """One invocation whose compiled and computed parts lie on the machine that it is for."""

    file: Path
    blank: Outcome | Finding
    """What comes of it, as yet without anything in it."""
    label: str

    @property
    def index(self) -> int:
        """Of its invocation, which is its block's."""
        return self.blank.invocation.index if isinstance(self.blank, Outcome) else self.blank.index

    @property
    def config(self) -> Config | None:
        """Of a session."""
        return self.blank.invocation.config if isinstance(self.blank, Outcome) else None

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Nothing needs to be sent along."""
        return ()

    def run(self) -> Measured:
        """Run it in this process, on the machine that has the file."""
        job = pickle.loads(self.file.read_bytes())
        if isinstance(self.blank, Outcome):
            job = evolve(job, invocation=self.blank.invocation)
        measured: Measured = job.run()
        return measured

    def failed(self, machine: str, error: str) -> Measured:
        """What is left of one whose process did not bring anything back."""
        return Measured(record=evolve(self.blank, machine=machine, error=error))


__all__ = ["KeptJob"]
