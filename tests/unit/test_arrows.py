"""The house's arrows: a room imports rooms below it, and none above."""

import ast
from functools import cache
from pathlib import Path

import pytest
from house import PACKAGE, ROOMS


def room(file: Path) -> str:
    """The module or sub-package right below gcbarrier that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """Full names of all modules (or names in them) that a file imports, inside functions too."""
    found: set[str] = set()
    package = ["gcbarrier", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@cache
def arrows() -> dict[str, dict[str, set[str]]]:
    """Room -> the rooms that it imports -> the files that do."""
    files = sorted(PACKAGE.rglob("*.py"))
    known = {room(file) for file in files}
    graph: dict[str, dict[str, set[str]]] = {name: {} for name in known}
    for file in files:
        for name in imported(file):
            top, _, rest = name.partition(".")
            # `from gcbarrier import Run` takes a public name, which lives in __init__.
            target = rest.partition(".")[0] if rest.partition(".")[0] in known else "__init__"
            if top == "gcbarrier" and target != room(file):
                graph[room(file)].setdefault(target, set()).add(str(file.relative_to(PACKAGE)))
    return graph


def test_every_room_is_on_the_map() -> None:
    assert set(arrows()) == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_rooms_below_it(name: str) -> None:
    above = ROOMS[: ROOMS.index(name)]
    wrong = {target: files for target, files in arrows()[name].items() if target in above}
    assert not wrong, f"{name} must not import what is above it: {wrong}"


def test_the_library_never_imports_heaps_or_experiments() -> None:
    for file in PACKAGE.rglob("*.py"):
        outside = {name.partition(".")[0] for name in imported(file)} & {"heaps", "experiments", "tests"}
        assert not outside, f"{file.name} imports {outside}: what is outside the library is found by path"


def test_the_reader_of_imports_sees_all_forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "machines" / "lab" / "boot.py"
    file.parent.mkdir(parents=True)
    (tmp_path / "campaign").mkdir()
    (tmp_path / "campaign" / "runner.py").touch()
    file.write_text(
        "import gcbarrier.results\n"
        "from gcbarrier import plugins\n"
        "from gcbarrier.model import Config\n"
        "def late():\n"
        "    from ...campaign import runner\n"
        "    from . import paths\n"
    )
    assert {".".join(name.split(".")[:2]) for name in imported(file)} == {
        "gcbarrier.results",
        "gcbarrier.plugins",
        "gcbarrier.model",
        "gcbarrier.campaign",
        "gcbarrier.machines",
    }
    assert arrows.__wrapped__()["machines"] == {
        "__init__": {"machines/lab/boot.py"},
        "campaign": {"machines/lab/boot.py"},
    }, "of these only campaign is a room in this folder"
