"""Where allocation finds room, on heaps of a known shape: what it looks at, what it leaves alone, how long it waits."""

import subprocess
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS

NATIVE = CHECKOUT / "gcbarrier/native"
OPTIONS = ("-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g1", f"-I{NATIVE}", f"-I{NATIVE}/include", "-pthread", "-ldl")
SANITIZERS = {"plain": (), "asan": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")}
SCENARIOS = ("full", "medium", "large", "waiting", "free_first", "by_address", "gaps_last")


@pytest.fixture(scope="module", params=SANITIZERS)
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled."""
    target = tmp_path_factory.mktemp("room") / "room"
    sources = [*sorted(NATIVE.rglob("*.c")), TESTS / "native/room.c"]
    command = ["gcc", *OPTIONS, *SANITIZERS[request.param], *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_room_is_found(room: Path, scenario: str) -> None:
    run = subprocess.run([str(room), scenario], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
