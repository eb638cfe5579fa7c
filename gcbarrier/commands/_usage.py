"""An argument parser that answers a mistake with one sentence."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery


class Parser(argparse.ArgumentParser):
    """Raises GcBarrierError where argparse would print its usage and exit; sub-parsers do the same."""

    def error(self, message: str) -> NoReturn:
        """One sentence, with the nearest match where one of several words was expected."""
        choice = re.fullmatch(r"argument .+: invalid choice: '?(.*?)'? \(choose from (.*)\)", message, re.DOTALL)
        if choice is not None:
            known = re.findall(r"[^\s',]+", choice[2])
            hint = discovery.nearest(choice[1], known)
            message = f"{choice[1]!r} is not one of the choices; {hint}choose from {', '.join(known)}"
        raise GcBarrierError(f"{message} (`{self.prog} --help` shows how it is used)")


class AddPath(argparse.Action):
    """``--path DIR``: in force as soon as it is read, so it may stand before or after the command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Add the folder to the search path; raises GcBarrierError where that can't be."""
        discovery.add_path(str(values))


def add_path_option(parser: argparse.ArgumentParser) -> None:
    """Give a parser the repeatable ``--path DIR``."""
    parser.add_argument(
        "--path",
        action=AddPath,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="also search DIR's heaps/, barriers/, collectors/ and experiments/ (repeatable)",
    )
