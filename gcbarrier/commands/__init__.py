"""The ``gcbarrier`` command. Each module beside this one is a sub-command; nothing else lists them.

A command module (a trailing underscore in its name is dropped: ``list_.py`` is ``list``) has a constant ``HELP``, one
line; ``prepare_parser(parser)``, which adds its arguments; and ``run(args) -> int``, the exit status. Only the command
that was asked for is imported.
"""

import argparse
import ast
import contextlib
import errno
import importlib
import importlib.util
import io
import os
import pkgutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from gcbarrier.commands._usage import Parser, add_path_option
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery

INTERRUPTED = 130
BROKEN_PIPE = 141

# What a user's own choice of file, folder or disk brings about; any other OSError is a defect and keeps its traceback.
_REMEDIES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "choose a place that you may use",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
    errno.ENFILE: "close other programs: the machine has as many files open as it can",
    errno.ENOMEM: "allow more memory (`ulimit -v`) or free some",
}
# Python has no exception of its own for these: only the words tell them.
_RUNTIME = {
    "can't start new thread": "no thread can be started; allow more memory or processes (`ulimit -v`, `ulimit -u`)",
    "Could not determine home directory.": "there is no home folder; set HOME",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what the user can mend ends in one sentence on stderr.

    2: bad input or something missing. 130: Ctrl-C or SIGTERM. 141: the reader of our output went away.
    """
    try:
        with _termination_as_interrupt():
            _make_streams_fit()
            status = _dispatch(list(sys.argv[1:] if argv is None else argv))
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except GcBarrierError as problem:
        return _say(f"gcbarrier: {problem}", 2)
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except OSError as problem:
        if _is_gone(os.curdir):
            return _say("gcbarrier: the folder that this was started in is gone; change to one that is there", 2)
        if problem.errno not in _REMEDIES:
            raise
        _abandon_stdout()
        where = f"{problem.filename}: " if problem.filename else ""
        return _say(f"gcbarrier: {where}{problem.strerror}; {_REMEDIES[problem.errno]}", 2)
    except MemoryError:
        return _say(f"gcbarrier: the memory does not suffice; {_REMEDIES[errno.ENOMEM]}", 2)
    except RuntimeError as problem:
        if str(problem) not in _RUNTIME:
            raise
        return _say(f"gcbarrier: {_RUNTIME[str(problem)]}", 2)


def _dispatch(argv: list[str]) -> int:
    commands = _commands()
    top = Parser(
        prog="gcbarrier",
        usage="gcbarrier [--version] [--path DIR] COMMAND ...",
        description="What does this write barrier cost, and what pauses does it buy?",
        epilog="commands:\n" + textwrap.indent(_overview(commands), "  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and stop")
    add_path_option(top)
    top.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    top.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = top.parse_args(argv)
    if chosen.version:
        from gcbarrier.machines.host import gcbarrier_version

        print(f"gcbarrier {gcbarrier_version()}")
        return 0
    if chosen.command is None:
        raise GcBarrierError("say which command to run; `gcbarrier --help` shows all")
    if chosen.command not in commands:
        hint = discovery.nearest(chosen.command, commands)
        raise GcBarrierError(f"there is no command {chosen.command!r}; {hint}`gcbarrier --help` shows all")
    command = importlib.import_module(commands[chosen.command])
    parser = Parser(prog=f"gcbarrier {chosen.command}", description=command.HELP)
    add_path_option(parser)
    command.prepare_parser(parser)
    status: int = command.run(parser.parse_args(chosen.rest))
    return status


def _commands() -> dict[str, str]:
    """The name of each command and the module that holds it."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return {name.rstrip("_"): f"{__name__}.{name}" for name in sorted(modules) if not name.startswith("_")}


def _overview(commands: dict[str, str]) -> str:
    width = max(map(len, commands))
    return "\n".join(f"{name:{width}}  {_help_of(module)}" for name, module in commands.items())


def _help_of(module: str) -> str:
    # Importing every command to print one line of each would import the plotting library for `gcbarrier --help`.
    spec = importlib.util.find_spec(module)
    source = spec.origin if spec else None
    if source is None:
        return ""
    for statement in ast.parse(Path(source).read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="HELP")], value=ast.Constant(value=str(text))):
                return text
    return ""


def _make_streams_fit() -> None:
    """Standard streams that whoever started us has closed lead nowhere, and what a stream has no letters for is a ?."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # It gets this very number, which a file of ours or a child's pipe would get otherwise.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - to the end
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def _is_gone(folder: str) -> bool:
    try:
        return not os.stat(folder).st_nlink
    except OSError:
        return True


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM and a closed terminal unwind the stack as Ctrl-C does, and so end children and guests on the way."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {}
    # Python allows handlers in the main thread only; an ignored SIGHUP is nohup's wish.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(sentence: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)
    return status


def _abandon_stdout() -> None:
    """Drop what is still buffered, or the interpreter complains about it once more while it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
