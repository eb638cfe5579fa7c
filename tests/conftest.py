"""What all tests share: an environment of their own, and honesty about features that a machine lacks."""

import os
import subprocess
import sys
from collections.abc import Callable

import browser
import pytest
from kinds import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary
from places import CHECKOUT

from gcbarrier import collectors
from gcbarrier.machines import features
from gcbarrier.plugins import discovery

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_terminal_summary"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set, not deleted: only then is what the test itself adds taken back as well.
    monkeypatch.setenv(discovery.PATH_VARIABLE, "")
    monkeypatch.delenv("GCBARRIER_MACHINE", raising=False)
    monkeypatch.delenv("GCBARRIER_ACCELERATOR", raising=False)


@pytest.fixture
def needs() -> Callable[..., None]:
    """``needs("async-uffd-wp", "lab")``: skip where the machine lacks one, saying why.

    A feature named in the environment variable GCBARRIER_REQUIRE (separated by commas) fails the test instead, so
    that a run which promises a feature can't pass without it. Any name of gcbarrier.machines.features, ``bdwgc``,
    ``chromium``, ``lab``, or ``public-checkout`` (an ordinary user can read it).
    """

    return _check


@pytest.fixture(scope="session")
def chromium() -> Callable[..., browser.Seen]:
    """A page in a browser (``browser.look``), which is needed."""
    _check("chromium")
    return browser.look


def _check(*names: str) -> None:
    required = os.environ.get("GCBARRIER_REQUIRE", "").split(",")
    for name in names:
        lacking = OTHERS[name]() if name in OTHERS else features.feature(name).why
        if lacking and name in required:
            pytest.fail(f"{name} is required (GCBARRIER_REQUIRE) and not here: {lacking}", pytrace=False)
        if lacking:
            pytest.skip(f"{name}: {lacking}")


@pytest.fixture
def gcbarrier() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command as a user would: ``gcbarrier("list", "heaps")``, in a process of its own."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gcbarrier", *arguments]
        settings = {"capture_output": True, "text": True, "timeout": 120, "cwd": CHECKOUT, "check": False} | options
        return subprocess.run(command, **settings)

    return run


def _lab_lacks() -> str:
    from gcbarrier.machines.lab.status import status

    return status().missing


def _checkout_lacks() -> str:
    closed = [folder for folder in (CHECKOUT, *CHECKOUT.parents) if not folder.stat().st_mode & 0o001]
    return f"the checkout lies in {closed[-1]}, where only its owner may go: clone it elsewhere" if closed else ""


def _bdwgc_lacks() -> str:
    lacking = collectors.lacking(["bdwgc"])
    return lacking["bdwgc"].why if lacking else ""


OTHERS = {"bdwgc": _bdwgc_lacks, "chromium": browser.lacking, "lab": _lab_lacks, "public-checkout": _checkout_lacks}
