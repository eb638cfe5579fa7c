"""The map of the house (gcbarrier/README.md) says what is: its rooms, and each step of its walks."""

import ast
import re
from pathlib import Path

import pytest
from house import MAP, PACKAGE, rows

STEP = re.compile(r"`([\w/]+\.(?:py|c|h))`((?: (?:and )?`\w+`)*)")


def defined(file: Path) -> set[str]:
    """What a file defines at its top, and what names itself in C."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        # A definition has a body or begins a macro's use; a mere call has neither.
        bodies = re.findall(r"^[\w\s*]*?\b(\w+)\([^;{]*\)\s*\{", text, re.MULTILINE)
        return {
            *bodies,
            *re.findall(r"^(GCB_\w+) =", text, re.MULTILINE),
            *re.findall(r"\bstruct (\w+) \{", text),
        }
    found: set[str] = set()
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def test_every_folder_of_the_core_is_on_the_map() -> None:
    there = {path.name for path in (PACKAGE / "native").iterdir() if path.is_dir()}
    assert set(rows("folder")) == there


@pytest.mark.parametrize("folder", rows("folder"))
def test_a_folder_of_the_core_says_what_it_is_for_where_it_begins(folder: str) -> None:
    (begins,) = re.findall(rf"^\| `{folder}` \|.*\| `(\w+\.[ch])` \|$", MAP, re.MULTILINE)
    assert (PACKAGE / "native" / folder / begins).read_text(encoding="utf-8").startswith(f"/* {folder}/: ")


@pytest.mark.parametrize("walk", re.findall(r"^\*\*(.+)\*\*$", MAP, re.MULTILINE))
def test_each_step_of_a_walk_is_where_it_says(walk: str) -> None:
    text = MAP.partition(f"**{walk}**")[2].partition("\n\n**")[0].partition("\n## ")[0]
    steps = STEP.findall(text)
    assert len(steps) > 5
    for path, names in steps:
        missing = set(re.findall(r"\w+", names.replace(" and ", " "))) - defined(PACKAGE / path)
        assert not missing, f"{path} does not define {missing}"


def test_the_reader_of_definitions_sees_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "x.c"
    file.write_text("int there(void) {\n  return elsewhere(1);\n}\nGCB_BARRIER = {0};\nint declared(void);\n")
    assert defined(file) == {"there", "GCB_BARRIER"}
    file = tmp_path / "x.py"
    file.write_text("ONE = 1\ndef two():\n    three = 3\nclass Four: pass\n")
    assert defined(file) == {"ONE", "two", "Four"}
