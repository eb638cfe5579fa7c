"""``gcbarrier doctor``: which barriers work, here and in the lab, and what would mend the others."""

import argparse
import json
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from rich.table import Table

from gcbarrier import barriers, collectors, report
from gcbarrier.campaign.availability import availability
from gcbarrier.commands import _checkup
from gcbarrier.commands._progress import waiting
from gcbarrier.commands._quiet import quiet_machine
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import lab
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import MEMORY_TYPES, Barrier
from gcbarrier.plugins import discovery

HELP = "try every barrier, here and in the lab; say why one does not work and what would mend it"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "barrier",
        nargs="?",
        metavar="BARRIER",
        help="this one alone, here: needs, memories, checked cycles",
    )
    parser.add_argument("--no-lab", action="store_true", help="don't boot the lab's guest (some seconds)")
    parser.add_argument(
        "--quiet-machine",
        action="store_true",
        help="instead: what disturbs measurements on this machine, and what mends it (some seconds; 1: something does)",
    )
    parser.add_argument("--json", action="store_true", help="print {lab, barriers: [{name, native, ...}], collectors}")


def run(args: argparse.Namespace) -> int:
    """Each barrier is tried by writing known pages and demanding exactly those back; more is done with a named one."""
    if args.quiet_machine and args.barrier:
        raise GcBarrierError(
            "--quiet-machine looks at the machine, and a barrier is looked at by itself: leave one out"
        )
    if args.quiet_machine:
        return quiet_machine(as_json=args.json)
    if args.barrier:
        return _checkup.show(args.barrier, as_json=args.json)
    names = discovery.names("barriers")
    with waiting("trying the barriers here"), FreshExecutor(environment=build.preload()) as executor:
        found = {"native": _tried(names, executor)}
    status = lab.status()
    if status.ready and not args.no_lab:
        with waiting("trying the barriers in the lab"), lab.LabExecutor(memory_bytes=1 << 30) as executor:
            if _has_compiler():
                # Asked for only because asking boots it: what fails from now on is a barrier.
                _ = executor.facts
            found["lab"] = _tried(names, executor)
    else:
        why = "not tried (--no-lab)" if status.ready else f"the lab is not ready: {status.missing}"
        found["lab"] = {name: {"works": False, "why": why, "remedy": status.remedy} for name in names}
    if args.json:
        entries = {"barriers": [_entry(name, found) for name in names], "collectors": _foreign()}
        print(json.dumps({"lab": _lab(status), **entries}, indent=2))
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("barrier", "here", "in the lab", "remedy"):
        table.add_column(head, overflow="fold")
    for name in names:
        here, there = found["native"][name], found["lab"][name]
        # What works in one place needs no mending.
        usable = here["works"] or there["works"]
        table.add_row(name, _word(here), _word(there), "" if usable else there["remedy"] or here["remedy"])
    report.show(table)
    if foreign := _foreign():
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for head in ("collector of its own memory", "here", "remedy"):
            table.add_column(head, overflow="fold")
        for each in foreign:
            table.add_row(each["name"], _word(each["native"]), each["native"]["remedy"])
        report.show(table)
    return 0


def _has_compiler() -> bool:
    """Without one there is no barrier to boot a guest for."""
    try:
        build.compiler()
    except GcBarrierError:
        return False
    return True


def _foreign() -> list[dict[str, Any]]:
    """The collectors that are made of somebody else's library, and whether that is here."""
    found = []
    for name in discovery.names("collectors"):
        problem: GcBarrierError | None = None
        try:
            collector = collectors.find(name)
            if collector.runtime is None:
                continue
            collector.require()
        except GcBarrierError as why:
            problem = why
        found.append({"name": name, "native": _answer(problem)})
    return found


def _tried(names: list[str], executor: Executor) -> dict[str, dict[str, Any]]:
    memories = {name: _first_memory(name) for name in names}
    return {name: _answer(problem) for name, problem in availability(memories, executor).items()}


def _first_memory(name: str) -> str:
    try:
        return barriers.promises_of(name).memories[0]
    except GcBarrierError:
        return MEMORY_TYPES[0]  # what is wrong with it is told when it is tried


def _answer(problem: GcBarrierError | None) -> dict[str, Any]:
    if isinstance(problem, Unavailable):
        return {"works": False, "why": problem.why, "remedy": problem.remedy}
    return {"works": problem is None, "why": "" if problem is None else str(problem), "remedy": ""}


def _word(answer: Mapping[str, Any]) -> str:
    return "works" if answer["works"] else f"no: {answer['why']}"


def _entry(name: str, found: Mapping[str, Mapping[str, dict[str, Any]]]) -> dict[str, Any]:
    try:
        promises = barriers.promises_of(name)
    except GcBarrierError:
        promises = Barrier(tracks=False)
    return {
        "name": name,
        "native": found["native"][name],
        "lab": found["lab"][name],
        "tracks": promises.tracks,
        "atomic": promises.atomic,
        "granule_bytes": promises.granule_bytes,
        "loses": promises.loses,
        "overreports": promises.overreports,
    }


def _lab(status: lab.LabStatus) -> dict[str, Any]:
    return {
        "ready": status.ready,
        "kernel": status.kernel_release,
        "qemu": status.qemu_version,
        "accelerator": status.accelerator,
        "missing": status.missing,
        "remedy": status.remedy,
    }
