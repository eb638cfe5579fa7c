"""The C core's arrows: which folder may include which, and call which."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gcbarrier.core.build import CFLAGS, NATIVE, compiler

TOP = "."
BELOW: dict[str, frozenset[str]] = {"include": frozenset()}
"""Each folder with all that it may include beside itself; the top is where a heap is put together."""
for _folder, _rests_on in (
    ("base", ["include"]),
    ("memory", ["base"]),
    ("watch", ["memory"]),
    ("heap", ["memory"]),
    ("mark", ["watch", "heap"]),
    ("world", ["base"]),
    ("cycle", ["mark", "world"]),
    (TOP, ["cycle"]),
    ("bench", [TOP]),
):
    BELOW[_folder] = frozenset(_rests_on).union(*(BELOW[each] for each in _rests_on))

Files = dict[str, set[str]]


def folder_of(file: str) -> str:
    return file.rpartition("/")[0] or TOP


def includes(root: Path) -> Files:
    """Each file, and the files that it includes; one that is not there keeps the name that it is included by."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".c", ".h"))
    found: Files = {}
    for file in files:
        named = re.findall(r'^\s*#\s*include\s*"([^"]+)"', file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        targets = ((file.parent / name if (file.parent / name).is_file() else root / name).resolve() for name in named)
        found[str(file.relative_to(root))] = {str(target.relative_to(root.resolve())) for target in targets}
    return found


def refused(found: Files, below: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """A sentence on each include that no arrow allows."""
    for file, targets in found.items():
        for target in sorted(targets):
            if target not in found:
                yield f"{file} includes {target}, which is not there"
            elif folder_of(target) not in below[folder_of(file)] | {folder_of(file)}:
                yield f"{file} includes {target}: {folder_of(file)} may not know {folder_of(target)}"


def circular(graph: Mapping[str, set[str]]) -> list[str]:
    """What can be reached from itself."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        frontier = [start]
        while frontier:
            new = graph.get(frontier.pop(), set()) - seen
            seen |= new
            frontier += new
        return seen

    return sorted(each for each in graph if each in reached(each))


def by_folder(found: Files) -> Files:
    graph: Files = {}
    for file, targets in found.items():
        graph.setdefault(folder_of(file), set()).update(map(folder_of, targets))
    return {folder: targets - {folder} for folder, targets in graph.items()}


def test_every_folder_has_its_place() -> None:
    assert set(by_folder(includes(NATIVE))) == set(BELOW)


def test_a_folder_includes_what_lies_below_it() -> None:
    assert list(refused(includes(NATIVE), BELOW)) == []


def test_nothing_is_included_in_a_circle() -> None:
    found = includes(NATIVE)
    assert circular(found) == []
    assert circular(by_folder(found)) == []


def test_the_contracts_are_everybodys() -> None:
    without = [folder for folder, known in by_folder(includes(NATIVE)).items() if "include" not in known]
    assert without == ["include"]


def test_the_checker_sees_what_is_wrong(tmp_path: Path) -> None:
    tree = {
        "include/barrier.h": '#include "error.h"\n',
        "include/error.h": "#include <stddef.h>\n",
        "heap/blocks.h": '#include "include/barrier.h"\n',
        "heap/sweep.c": '  #  include "blocks.h"\n#include "mark/marking.h"\n',
        "mark/marking.h": '#include "heap/blocks.h"\n#include "mark/regions.h"\n#include "gone.h"\n',
        "mark/regions.h": '#include "marking.h"\n',
    }
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = includes(tmp_path)
    assert list(refused(found, BELOW)) == [
        "heap/sweep.c includes mark/marking.h: heap may not know mark",
        "mark/marking.h includes gone.h, which is not there",
    ]
    assert circular(found) == ["mark/marking.h", "mark/regions.h"]
    assert circular(by_folder(found)) == ["heap", "mark"]


def stray_calls(root: Path, work: Path, below: Mapping[str, frozenset[str]]) -> list[str]:
    """What a file needs of a folder that it may not know: declared once more, no include would tell.

    What ``include/`` declares is for everybody, whoever keeps it.
    """
    promised = set(re.findall(r"\bgcb_\w+", "".join(file.read_text() for file in (root / "include").glob("*.h"))))
    defined: dict[str, str] = {}
    needed: Files = {}
    for source in sorted(root.rglob("*.c")):
        name, made = str(source.relative_to(root)), work / "one.o"
        subprocess.run([*compiler(), *CFLAGS, "-w", f"-I{root}", "-c", str(source), "-o", str(made)], check=True)
        listed = subprocess.run(["nm", "-g", str(made)], capture_output=True, text=True, check=True).stdout.split("\n")
        needed[name] = {line.split()[-1] for line in listed if " U " in line}
        defined |= {line.split()[-1]: name for line in listed if line and " U " not in line}
    return [
        f"{file} needs {symbol} of {defined[symbol]}"
        for file, symbols in needed.items()
        for symbol in sorted((symbols & defined.keys()) - promised)
        if folder_of(defined[symbol]) not in below[folder_of(file)] | {folder_of(file)}
    ]


def test_a_folder_calls_what_lies_below_it(tmp_path: Path) -> None:
    assert stray_calls(NATIVE, tmp_path, BELOW) == []


def test_a_prototype_of_its_own_is_no_way_round(tmp_path: Path) -> None:
    tree = {
        "include/error.h": "int gcb_set_error(void);\n",
        "heap/alloc.c": "int gcb_set_error(void);\nint gcb_drain(void);\n"
        "int gcb_alloc(void);\nint gcb_alloc(void) { return gcb_set_error() + gcb_drain(); }\n",
        "mark/mark.c": "int gcb_drain(void);\nint gcb_drain(void) { return 0; }\n"
        "int gcb_set_error(void);\nint gcb_set_error(void) { return -1; }\n",
    }
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert stray_calls(tmp_path, tmp_path, BELOW) == ["heap/alloc.c needs gcb_drain of mark/mark.c"]


@pytest.mark.parametrize("header", ["heap/blocks.h", "space.h", "blocks.h"])
def test_a_plug_in_can_include_the_contracts_alone(header: str) -> None:
    command = [*compiler(), *CFLAGS, f"-I{NATIVE / 'include'}", "-fsyntax-only", "-x", "c", "-"]
    every = "".join(f'#include "{file.name}"\n' for file in sorted((NATIVE / "include").glob("*.h")))
    for text, fine in ((every, True), (f'#include "{header}"\n', False)):
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == fine, done.stderr
