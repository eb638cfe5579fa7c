"""Where the job runs: a fresh process here, or a guest of the lab. Each machine is asked once per process."""

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import race
from attrs import evolve, fields
from places import SUPPORT, TESTS

from conformance import job
from conformance.job import Racing, Results
from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.machines import lab
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.machines.lab import LabExecutor

NEWEST = "trixie-backports"
GUEST_BYTES = 2 << 30


@functools.cache
def native() -> Results:
    """This machine."""
    return freshly(job.run, plugins(), racing(), {}, guest=False)


def freshly(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function of these modules returns in a process of its own."""
    with FreshExecutor(deadline_s=300, environment=build.preload()) as executor, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{SUPPORT}", prepend=os.pathsep)
        return executor.submit(function, *arguments, **options).result()


@functools.cache
def guest(kernel: str | None = None, whole: bool = True) -> Results:
    """The lab with a kernel that was set up, the first by default; not ``whole``: enough to cover each pair of
    barrier, memory and kernel, where another kernel has everything.
    """
    compiled = plugins()
    folders = {folder for plugin in compiled.values() for folder in (plugin.core, plugin.library.parent)}
    files = {path: path.read_bytes() for folder in sorted(folders) for path in folder.glob("*.so")}
    include = (TESTS / "conformance", SUPPORT / "places.py", SUPPORT / "race.py", programs_folder())
    racing()
    with LabExecutor(
        memory_bytes=GUEST_BYTES, include=include, kernel=kernel, job_deadline_s=900, on_progress=print
    ) as executor:
        chosen = None if whole else job.some_subjects()
        arguments = compiled, evolve(racing(), seconds=0.2), files
        return executor.submit(job.run, *arguments, guest=True, chosen=chosen).result()


@functools.cache
def newest(whole: bool = True) -> Results:
    """The lab with the newest kernel, which is fetched if need be."""
    lab.setup(print, NEWEST)
    return guest(NEWEST, whole)


@functools.cache
def plugins() -> dict[str, build.Plugin]:
    """Every barrier that is checked, compiled."""
    return {name: barriers.choose(name).compile() for name in job.page_barriers()}


@functools.cache
def racing() -> Racing:
    """The race over each of them."""
    programs = {}
    for name in job.page_barriers():
        checked = {"check": True} if "check" in {each.name for each in fields(barriers.params_of(name))} else {}
        chosen = barriers.choose(name, checked)
        programs[name] = race.build(chosen.source, programs_folder() / name, chosen.defines)
    return Racing(programs=programs)


def programs_folder() -> Path:
    """Lives as long as this process."""
    return Path(_programs().name)


@functools.cache
def _programs() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gcbarrier-conformance-")
