"""Python programs whose heap is captured, and looking things up in the graph."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
from places import CHECKOUT

from gcbarrier.graphs import graphfile
from gcbarrier.graphs.graphfile import Graph

GCBARRIER = [sys.executable, "-m", "gcbarrier", "import", "--python"]
MINORS = range(8, 15)


def interpreters() -> dict[str, str]:
    """Every CPython from 3.8 on that is here, this one among them, by version."""
    found = {"this one": sys.executable}
    for minor in MINORS:
        places = sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python"))
        if system := shutil.which(f"python3.{minor}", path="/usr/bin:/usr/local/bin"):
            places.append(Path(system))
        if places:
            found[f"3.{minor}"] = str(places[0])
    return found


PYTHONS = interpreters()


def run(folder: Path, *words: str, at: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    when = ["--at", at] if at else []
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [*GCBARRIER, *when, "--out", str(folder / "x.graph.npz"), "--", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def program(folder: Path, text: str, name: str = "app.py") -> str:
    (folder / name).write_text(textwrap.dedent(text))
    return name


def captured(folder: Path, *words: str, at: str = "", status: int = 0) -> Graph:
    done = run(folder, *words, at=at)
    assert done.returncode == status, done.stderr
    return graphfile.read(folder / "x.graph.npz")


def referred(graph: Graph, node: int) -> list[int]:
    return graph.targets[int(graph.offsets[node]) : int(graph.offsets[node + 1])].tolist()  # type: ignore[no-any-return]


def of_degree(graph: Graph, degree: int) -> list[int]:
    return np.flatnonzero(graph.out_degrees() == degree).tolist()  # type: ignore[no-any-return]
