"""``gcbarrier doctor`` beside barriers that are broken: each is a row that says what is wrong, and the others stay."""

import json
import signal
from pathlib import Path

import pytest

from gcbarrier import barriers
from gcbarrier.campaign.availability import availability
from gcbarrier.commands import main
from gcbarrier.machines import lab
from gcbarrier.plugins import discovery

NONE = (Path(barriers.__file__).parent / "none.c").read_text()

OPENS = {
    "crashes": "volatile int *nowhere = NULL;\n  *nowhere = 1;",
    "lacks-a-symbol": "extern void not_there(void);\n  not_there();",
    "loops": "for (;;)\n    ;",
    "stops": "raise(SIGSTOP);",
}
PYTHON = {
    "promises-a-word": 'BARRIER = "much"',
    "raises": "def BARRIER(params):\n    return Barrier(tracks=params.missing)",
    "odd-params": "class Params:\n    size = 1\nBARRIER = Barrier()",
    "no-params": "Params = 5\nBARRIER = Barrier()",
    "nowhere": "BARRIER = Barrier(memories=())",
    "needs-magic": 'BARRIER = Barrier(needs=("magic",))',
}
SAID = {
    "crashes": "does not survive being tried: the invocation's process crashed (SIGSEGV)",
    "lacks-a-symbol": "undefined symbol: not_there",
    "loops": "did not end within 3 s when it was tried",
    "stops": "was stopped (SIGSTOP)",
    "promises-a-word": "promises_a_word.py needs BARRIER = Barrier(...)",
    "raises": "raises.py, line 3: AttributeError: 'NoParams' object has no attribute 'missing'",
    "odd-params": "odd_params.py, line 2: Params must be an attrs class",
    "no-params": "no_params.py, line 2: Params must be an attrs class",
    "nowhere": "nowhere.py, line 2: ValueError: memories=(): name one or more of shmem",
    "needs-magic": "no feature is called 'magic'",
    "python-fails": "does not survive being tried: ZeroDivisionError",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with the broken ones in it."""
    folder = tmp_path / "own" / "barriers"
    folder.mkdir(parents=True)
    head = "from gcbarrier import Barrier\n"
    for name, body in PYTHON.items():
        (folder / f"{name.replace('-', '_')}.py").write_text(head + body + "\n")
        (folder / f"{name.replace('-', '_')}.c").write_text(NONE)
    for name, body in OPENS.items():
        start = "static int open_it(gcb_barrier *barrier) {\n  (void)barrier;"
        code = f"#include <signal.h>\n{NONE}".replace("GCB_BARRIER", f"{start}\n  {body}\n  return 0;\n}}\nGCB_BARRIER")
        (folder / f"{name.replace('-', '_')}.c").write_text(
            code.replace(".open = nothing", ".tracks = true, .open = open_it")
        )
        (folder / f"{name.replace('-', '_')}.py").write_text(f"{head}BARRIER = Barrier()\n")
    prototype = "class Prototype:\n    def __init__(self, memory): 1 / 0\nBARRIER = Barrier()\n"
    (folder / "python_fails.py").write_text(head + prototype)
    return tmp_path / "own"


def test_each_broken_barrier_is_a_row_and_the_others_stay(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcbarrier.campaign.availability._TRIAL_S", 3.0)
    assert main(["--path", str(own), "doctor", "--no-lab", "--json"]) == 0
    rows = {each["name"]: each["native"] for each in json.loads(capsys.readouterr().out)["barriers"]}
    assert set(rows) == set(discovery.names("barriers"))
    for name, said in SAID.items():
        assert not rows[name]["works"]
        assert said in rows[name]["why"], name
    for name in ("none", "mprotect", "log"):
        assert rows[name]["works"], rows[name]["why"]


def test_in_the_lab_a_broken_barrier_takes_no_other_with_it(own: Path, needs, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("lab")
    monkeypatch.setattr("gcbarrier.campaign.availability._TRIAL_S", 10.0)
    discovery.add_path(own)
    memories = dict.fromkeys(("crashes", "loops", "uffd-wp-async"), "shmem")
    with lab.LabExecutor(memory_bytes=1 << 30) as executor:
        found = availability(memories, executor)
    assert found["uffd-wp-async"] is None
    assert found["crashes"] is not None
    assert signal.SIGSEGV.name in str(found["crashes"])
    assert found["loops"] is not None
    assert str(found["loops"]).endswith("it did not end within 10 s when it was tried")


@pytest.mark.parametrize("barrier", ["uffd-wp-async", "satb"])
def test_one_barrier_is_looked_at_from_all_sides(barrier: str, gcbarrier, needs) -> None:
    promises = barriers.promises_of(barrier)
    needs(*promises.needs)
    done = gcbarrier("doctor", barrier, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["works"]
    found = {each["what"]: each for each in told["findings"]}
    assert {f"needs {need}" for need in promises.needs} | {f"on {memory}" for memory in promises.memories} <= set(found)
    (checked,) = [each for what, each in found.items() if what.startswith("under ")]
    assert checked["works"]
    assert "objects checked, none lost" in checked["told"]


def test_one_barrier_that_does_not_work_says_why_with_status_1(own: Path, gcbarrier) -> None:
    done = gcbarrier("--path", str(own), "doctor", "crashes")
    assert done.returncode == 1
    assert done.stdout.startswith("crashes does not work here: ")
    assert "crashed (SIGSEGV)" in done.stdout
    done = gcbarrier("--path", str(own), "doctor", "crushes")
    assert done.returncode == 2
    assert "did you mean" in done.stderr
