"""What is wrong with a file that an importer reads, as the one sentence that its user sees."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import GraphFault


class Unfit(Exception):  # noqa: N818 - not an error of its own: the reason in the middle of one
    """Why the file is not what it should be: a clause, for ``Format.told`` to make a sentence of."""


@frozen(kw_only=True)
class Format:
    """How sentences name files of a format, and what they advise."""

    a_file: str
    """With its article: "a Java heap dump"."""
    noun: str
    """In short, without: "heap dump"."""
    remedy: str
    """What to do for a better one."""
    if_too_large: str
    """What to do where it does not fit in memory."""

    @contextlib.contextmanager
    def told(self, path: Path) -> Iterator[None]:
        """Reading ``path``: what is raised inside, Unfit and GraphFault among it, becomes a ``GcBarrierError``."""
        try:
            yield
        except (Unfit, GraphFault) as fault:
            why = fault.why if isinstance(fault, GraphFault) else fault
            raise GcBarrierError(f"{path} is not {self.a_file} that can be used: {why}; {self.remedy}") from fault
        except OSError as error:
            raise GcBarrierError(f"the {self.noun} {path} can't be read: {error.strerror}; check the path") from error
        except MemoryError as error:
            raise GcBarrierError(f"the {self.noun} {path} does not fit in memory; {self.if_too_large}") from error
