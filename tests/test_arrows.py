"""The house's arrows: who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gcbarrier"

# In each chain, nothing may reach anything to its right, not even through a third module.
CHAINS = (
    ("errors", "model", "host"),
    ("errors", "model", "heap", "barriers", "session", "runner", "commands"),
    ("errors", "model", "heap", "collectors", "session", "runner", "commands"),
    ("errors", "model", "store", "metrics", "report", "commands"),
)


def component(file: Path) -> str:
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


def arrows() -> dict[str, set[str]]:
    """Component -> the components it imports."""
    files = sorted(PACKAGE.rglob("*.py"))
    known = {component(file) for file in files}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for file in files:
        for name in imported(file):
            top, _, rest = name.partition(".")
            if top == "gcbarrier":
                # `from gcbarrier import Run` takes a public name, which lives in __init__.
                target = rest.partition(".")[0]
                graph[component(file)].add(target if target in known else "__init__")
    for name, targets in graph.items():
        targets.discard(name)
    return graph


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    frontier = [start]
    while frontier:
        for target in graph.get(frontier.pop(), set()) - seen:
            seen.add(target)
            frontier.append(target)
    return seen


@pytest.mark.parametrize("chain", CHAINS, ids=" ← ".join)
def test_arrows_go_one_way(chain: tuple[str, ...]) -> None:
    graph = arrows()
    for position, name in enumerate(chain):
        wrong = reachable(graph, name) & set(chain[position + 1 :])
        assert not wrong, f"gcbarrier.{name} must not depend on {sorted(wrong)}"


def test_no_two_components_need_each_other() -> None:
    graph = arrows()
    circular = [name for name in graph if name in reachable(graph, name)]
    assert not circular, f"these import one another in a circle: {sorted(circular)}"


def test_only_main_imports_the_commands() -> None:
    users = {name for name, targets in arrows().items() if "commands" in targets}
    assert users <= {"__main__"}


def test_the_library_never_imports_heaps_or_experiments() -> None:
    for file in PACKAGE.rglob("*.py"):
        outside = {name.partition(".")[0] for name in imported(file)} & {"heaps", "experiments", "tests"}
        assert not outside, f"{file.name} imports {outside}: what is outside the library is found by path"


def test_the_reader_of_imports_sees_all_forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "lab" / "boot.py"
    file.parent.mkdir()
    file.write_text(
        "import gcbarrier.store\n"
        "from gcbarrier import host\n"
        "from gcbarrier.model import Config\n"
        "def late():\n"
        "    from ..runner import run\n"
        "    from . import paths\n"
    )
    assert {".".join(name.split(".")[:2]) for name in imported(file)} == {
        "gcbarrier.store",
        "gcbarrier.host",
        "gcbarrier.model",
        "gcbarrier.runner",
        "gcbarrier.lab",
    }
    assert set(arrows()["lab"]) == {"__init__"}, "in this folder none of them is a component"
