"""All checks for all subjects, as one job: in a process of its own, here or in a guest of the lab."""

import inspect
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve, field, fields, frozen
from race import run as run_race

from conformance import arguments, baseline, dirty_sets, kernel_stores, life
from conformance.apart import Died, apart, become_nobody, begin
from conformance.known import known_losses
from conformance.life import Seen
from conformance.subject import Subject, notices_any_write
from gcbarrier import barriers
from gcbarrier.bench.trial import try_out
from gcbarrier.campaign import runner
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab import report_progress
from gcbarrier.model import MEMORY_TYPES
from gcbarrier.plugins import discovery

PASS = "pass"
HUGETLB_PAGES = 64

Key = tuple[str, str]
"""A barrier and a memory."""


@frozen(kw_only=True)
class Racing:
    """A race program for each barrier, and how long it runs on each memory."""

    programs: Mapping[str, Path]
    seconds: float = 1.0
    mib: int = 2
    writers: int = 1


@frozen(kw_only=True)
class Results:
    """What one machine's job brought back; a subject is in ``unavailable`` or in all the others."""

    kernel: str
    unavailable: dict[Key, str] = field(factory=dict)
    """Why it can't be had here."""
    units: dict[Key, int] = field(factory=dict)
    """Pages that one byte's report covers."""
    checks: dict[str, dict[Key, str]] = field(factory=dict)
    """For each check PASS or the reason."""
    seen: dict[str, dict[Key, Seen]] = field(factory=dict)
    """What those of ``life`` saw."""
    kernel_stores: dict[str, dict[Key, dict[str, str]]] = field(factory=dict)
    """As ``root`` and as ``nobody``, for each way: seen, or the error."""
    races: dict[Key, dict[str, int]] = field(factory=dict)
    """What the race program counted."""
    baseline: dict[str, dict[str, int]] = field(factory=dict)
    """Soft-dirty and uffd side by side, on mappings of their own."""

    def failures(self) -> dict[str, str]:
        """What did not pass."""
        return {
            f"{check} of {'/'.join(key)}": why
            for check, each in self.checks.items()
            for key, why in each.items()
            if why != PASS
        }


def checks() -> dict[str, Callable[[Subject], Any]]:
    """All of them by name, in the order of the files."""
    modules: Sequence[ModuleType] = (dirty_sets, arguments, life)
    return {
        name: function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_") and inspect.isfunction(function)
    }


def subjects() -> list[Key]:
    """Every barrier that notices any write, on every memory there is."""
    return [(barrier, memory) for barrier in page_barriers() for memory in MEMORY_TYPES]


def some_subjects() -> list[Key]:
    """Each barrier on one of its kinds of memory, so that each kind occurs: for a kernel that is not the first."""
    chosen = {("soft-dirty", "shmem")}
    for number, barrier in enumerate(page_barriers()):
        memories = barriers.load(barrier).memories
        chosen.add((barrier, memories[number % len(memories)]))
    return sorted(chosen)


def page_barriers() -> list[str]:
    """The barriers whose reports can be checked without a heap."""
    return [name for name in discovery.names("barriers") if notices_any_write(name)]


def run(
    plugins: Mapping[str, build.Plugin],
    racing: Racing,
    files: Mapping[Path, bytes],
    *,
    guest: bool,
    chosen: Sequence[Key] | None = None,
) -> Results:
    """Everything, or what is ``chosen``; whether a barrier is available is asked of all.

    ``files`` are the compiled ones, for a machine that lacks them; ``guest``: it may be changed.
    """
    if not all(path.exists() for path in files):
        runner.install(files)
    if guest:
        _grant_huge_pages()
    results = Results(kernel=os.uname().release)
    everything = subjects()
    chosen = everything if chosen is None else chosen
    everything.sort(key=lambda key: key not in chosen)
    # Two processors: two halves.
    begun = [begin(_part, everything[half::2], chosen, plugins, racing, deadline_s=900) for half in range(2)]
    for finish in begun:
        _merge(results, finish())
    if guest:
        results.baseline.update(baseline.observed())
    return results


def _part(keys: Sequence[Key], chosen: Sequence[Key], plugins: Mapping[str, build.Plugin], racing: Racing) -> Results:
    results = Results(kernel="")
    for key in keys:
        began = time.monotonic()
        barrier, memory = key
        try:
            try_out(barrier, plugins[barrier], memory)
        except Unavailable as problem:
            results.unavailable[key] = problem.why
            continue
        if key not in chosen:
            continue
        subject = Subject(barrier=barrier, memory=memory, plugin=plugins[barrier])
        try_everything(subject, results)
        if barrier in racing.programs:
            _race(subject, racing, results)
        report_progress(f"{barrier} on {memory} memory: {time.monotonic() - began:.1f} s")
    return results


def _merge(into: Results, part: Results) -> None:
    for of in (each.name for each in fields(Results) if each.name != "kernel"):
        for name, value in getattr(part, of).items():
            if isinstance(name, str) and isinstance(value, dict):
                getattr(into, of).setdefault(name, {}).update(value)
            else:
                getattr(into, of)[name] = value


def try_everything(subject: Subject, results: Results) -> None:
    """All checks of one subject, in children that may die: one as this user, one as nobody."""
    key = subject.barrier, subject.memory

    def note(user: str, stores: dict[str, str] | Exception) -> None:
        failed = isinstance(stores, Exception)
        results.checks.setdefault(f"kernel_stores_as_{user}", {})[key] = reason(stores) if failed else PASS
        if not failed:
            results.kernel_stores.setdefault(user, {})[key] = stores

    try:
        subject, outcomes, stores = apart(_as_root, subject)
    except Exception as problem:
        results.checks.setdefault("all", {})[key] = reason(problem)
        return
    results.units[key] = subject.unit
    for name, (why, seen) in outcomes.items():
        results.checks.setdefault(name, {})[key] = why
        if seen is not None:
            results.seen.setdefault(name, {})[key] = seen
    note("root", stores)
    try:
        note("nobody", apart(_as_nobody, subject))
    except Exception as problem:
        note("nobody", problem)


def _as_root(subject: Subject) -> tuple[Subject, dict[str, tuple[str, Seen | None]], dict[str, str] | Exception]:
    subject = subject.measured()
    try:
        stores: dict[str, str] | Exception = kernel_stores.kernel_stores(subject)
    except Exception as problem:
        stores = problem
    return evolve(subject), outcomes_of(subject), stores


def outcomes_of(subject: Subject, names: Sequence[str] = ()) -> dict[str, tuple[str, Seen | None]]:
    """PASS or the reason, and what was seen, of the named checks or all."""
    outcomes: dict[str, tuple[str, Seen | None]] = {}
    for name, check in checks().items():
        if names and name not in names:
            continue
        try:
            seen = check(subject)
            outcomes[name] = (verdict(subject, seen, name) if isinstance(seen, Seen) else PASS), seen
        except Exception as problem:
            outcomes[name] = reason(problem), None
    subject.close()
    return outcomes


def caught(mutants: Mapping[str, tuple[str, build.Plugin]], names: Sequence[str]) -> dict[str, list[str]]:
    """For each mutant of a barrier, the checks among ``names`` that fail on shared memory."""
    found = {}
    for mutant, (barrier, plugin) in mutants.items():
        found[mutant] = []
        for name in names:
            subject = Subject(barrier=barrier, memory="shmem", plugin=plugin)
            try:
                why, _ = apart(outcomes_of, subject, (name,))[name]
            except Died as death:
                why = str(death)
            if why != PASS:
                found[mutant].append(name)
    return found


def verdict(subject: Subject, seen: Seen, check: str) -> str:
    """Whether what was seen is what the barrier promises."""
    if seen.lost and not subject.loses and check not in known_losses(subject):
        return f"{seen.lost} written pages not reported, and it promises to lose none"
    if seen.surplus and not subject.promises.overreports and not seen.given_back:
        return f"{seen.surplus} pages reported that were not written, and it promises none"
    return PASS


def reason(problem: Exception) -> str:
    """One line for an expected failure, everything for the rest."""
    if isinstance(problem, (AssertionError, GcBarrierError, Died)) and str(problem):
        return f"{type(problem).__name__}: {problem}"
    return "".join(traceback.format_exception(problem))


def _as_nobody(subject: Subject) -> dict[str, str]:
    # Once before the identity changes: the interpreter's and the compiled files may be root's alone.
    subject.open(subject.least_pages).close()
    become_nobody()
    return kernel_stores.kernel_stores(subject)


def _race(subject: Subject, racing: Racing, results: Results) -> None:
    key = subject.barrier, subject.memory
    mode = "run" if subject.promises.atomic else "stop"
    arguments = (racing.seconds, racing.mib, racing.writers, mode, MEMORY_TYPES.index(subject.memory))
    try:
        counted = run_race(racing.programs[subject.barrier], *arguments)
    except AssertionError as problem:
        results.checks.setdefault("racing_stores", {})[key] = reason(problem)
        return
    results.races[key] = counted
    enough = counted["stores"] > 0 and counted["rounds"] > 1
    why = f"{counted['lost']} pages lost" if counted["lost"] else PASS if enough else f"no race: {counted}"
    results.checks.setdefault("racing_stores", {})[key] = why


def _grant_huge_pages() -> None:
    """The guest is nobody else's."""
    Path("/proc/sys/vm/nr_hugepages").write_text(str(HUGETLB_PAGES))
    shmem = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    if shmem.exists():
        shmem.write_text("advise")
