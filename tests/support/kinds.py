"""What kind of test each is, by its folder; and which tests only a whole run has.

The top conftest takes the hooks from here.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest
from places import TESTS

WHOLE = "whole"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest --whole``."""
    parser.addoption("--whole", action="store_true", help="every combination, not only enough to cover each pair")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its folder, leave out what only a whole run has, and put the quick kinds first."""
    kinds = known_kinds(config.getini("markers"))
    for item in items:
        item.add_marker(kind(item.path, kinds))
    if not config.getoption("--whole"):
        left_out = [item for item in items if item.get_closest_marker(WHOLE)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(WHOLE)]
    items.sort(key=lambda item: kinds.index(kind(item.path, kinds)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went, by kind: what is to stay quick is watched in every run."""
    took: dict[str, float] = {}
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            folder = Path(report.nodeid.partition("::")[0]).parts[1]
            took[folder] = took.get(folder, 0.0) + report.duration
    if took:
        terminalreporter.line("took " + ", ".join(f"{seconds:.0f} s in {name}/" for name, seconds in took.items()))


def known_kinds(markers: Iterable[str]) -> list[str]:
    """The folders that are markers, in the order of pyproject.toml: quick ones first."""
    return [name for line in markers if (name := line.partition(":")[0]) and (TESTS / name).is_dir()]


def kind(file: Path, kinds: Iterable[str], root: Path = TESTS) -> str:
    """The marker of a test file: its folder right below ``root``.

    Raises pytest.UsageError for a file in no such folder: whoever asks for a marker would never run it.
    """
    folder = file.relative_to(root).parts[0] if file.is_relative_to(root) else ""
    if folder not in kinds:
        raise pytest.UsageError(f"{file} is in no folder that sets a marker ({', '.join(kinds)}): tests/README.md")
    return folder
