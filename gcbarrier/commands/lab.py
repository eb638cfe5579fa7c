"""``gcbarrier lab``: a stock kernel in QEMU, set up, looked at, and used to run one command."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import lab
from gcbarrier.model import parse_bytes

HELP = "fetch a stock kernel and QEMU, and run commands on that kernel"

NOT_READY = 2
_DEFAULT_MEMORY = "2GiB"
_DEFAULT_CPUS = 2


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lab``: one parser for each thing to do."""
    actions = parser.add_subparsers(dest="action", metavar="setup|status|run", required=True)

    about = "fetch what is missing into your cache folder; needs Debian, no root, and changes nothing else"
    setup = actions.add_parser("setup", help=about, description=about)
    setup.add_argument("--kernel", metavar="SUITE", help="the suite to take the kernel of; default: backports")

    about = f"say what there is and what is missing; exit status {NOT_READY} if no guest could be started"
    status = actions.add_parser("status", help=about, description=about)
    status.add_argument("--json", action="store_true", help="print a JSON object")

    about = "run a command as root in a guest, and end with its exit status"
    run = actions.add_parser("run", help=about, description=about)
    run.add_argument(
        "--kernel",
        metavar="KERNEL",
        help="a suite or a release that was set up; default: what GCBARRIER_LAB_KERNEL names, or the first",
    )
    run.add_argument("--memory", metavar="SIZE", default=_DEFAULT_MEMORY, help=f"default: {_DEFAULT_MEMORY}")
    run.add_argument("--cpus", metavar="N", type=int, default=_DEFAULT_CPUS, help=f"default: {_DEFAULT_CPUS}")
    run.add_argument(
        "--include",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a file or folder that the guest finds at the same path (repeatable)",
    )
    # Left to the guest's own command: all of them, dashes included.
    run.add_argument("words", metavar="-- COMMAND ...", nargs=argparse.REMAINDER, help="what to run")


def run(args: argparse.Namespace) -> int:
    """Do what ``args.action`` says."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {"setup": _setup, "status": _status, "run": _run}
    return actions[args.action](args)


def _setup(args: argparse.Namespace) -> int:
    if not lab.plan(args.kernel):
        print("nothing to do")
    with _spinner("working") as say:

        def on_step(step: str) -> None:
            print(step, flush=True)
            say(step)

        found = lab.setup(on_step, args.kernel)
    if not found.ready:
        raise GcBarrierError("; ".join(filter(None, ("the lab still lacks something: " + found.missing, found.remedy))))
    print(f"ready: Linux {found.kernel_release} in QEMU {found.qemu_version}")
    return 0


def _status(args: argparse.Namespace) -> int:
    found = lab.status(thorough=True)
    if args.json:
        print(json.dumps(_record(found), indent=2))
        return 0 if found.ready else NOT_READY
    for kernel in found.kernels:
        print(f"kernel       {kernel.release} ({kernel.suite})")
    for damage in found.damaged:
        print(f"kernel       {damage}")
    if found.qemu_version:
        print(f"QEMU         {found.qemu_version}")
    if found.ready:
        print(f"accelerator  {found.accelerator or 'found out when the first guest boots'}")
        print("ready")
        return 0
    print(f"not ready: {found.missing}" + (f"; {found.remedy}" if found.remedy else ""))
    return NOT_READY


def _record(found: lab.LabStatus) -> dict[str, object]:
    return {
        "ready": found.ready,
        "kernels": [{"suite": kernel.suite, "release": kernel.release} for kernel in found.kernels],
        "kernel_release": found.kernel_release,
        "qemu_version": found.qemu_version,
        "accelerator": found.accelerator,
        "damaged": list(found.damaged),
        "missing": found.missing,
        "remedy": found.remedy,
    }


def _run(args: argparse.Namespace) -> int:
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise GcBarrierError("say which command to run in the guest: gcbarrier lab run -- COMMAND")
    with lab.LabExecutor(
        memory_bytes=parse_bytes(args.memory),
        cpus=args.cpus,
        include=args.include,
        kernel=args.kernel,
        on_output=_write,
    ) as executor:
        with _spinner("booting a guest, usually within ten seconds"):
            # Asked for only because asking boots it.
            _ = executor.facts
        return executor.submit(lab.run_command, words, os.getcwd()).result()


def _write(stream: int, data: bytes) -> None:
    out = sys.stdout.buffer if stream == 1 else sys.stderr.buffer
    out.write(data)
    out.flush()


@contextlib.contextmanager
def _spinner(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way and for how long; nothing where stderr is none."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda text: bar.update(task, description=text)
