"""``gcbarrier trace``: a file that holds the run's raw events, and one sentence for every mistake."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_outcomes, write_run

from gcbarrier.commands import main
from gcbarrier.core.events import EVENT, Kind
from gcbarrier.model import Config
from gcbarrier.results.trace import raw_events

CONFIG = Config(heap="gcbench", barrier="cards", collector="mostly-concurrent")


def events() -> np.ndarray:
    return np.array([(5, 9, 1, 1, 1, Kind.PAUSE, 0, 0), (6, 8, 0, 1, 1, Kind.HELD, 0, 1)], EVENT)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    buffer = io.BytesIO()
    np.save(buffer, events())
    return write_run(tmp_path / "run", make_outcomes([CONFIG], invocations=2), buffer.getvalue(), "mine")


def test_all_invocations_or_one_of_them(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(run)]) == 0
    assert capsys.readouterr().out.split() == [str(run / "trace.json")]
    document = json.loads((run / "trace.json").read_text())
    for pid in (1, 2):
        assert raw_events(document, pid).tobytes() == events().tobytes()
    names = [one["args"]["name"] for one in document["traceEvents"] if one["name"] == "process_name"]
    assert names == [f"{n}: gcbench/cards/mostly-concurrent #{n} on native" for n in range(2)]
    assert document["otherData"]["experiment"] == "mine"
    out = run.parent / "one.json"
    assert main(["trace", str(run), "1", "--out", str(out)]) == 0
    assert {one["pid"] for one in json.loads(out.read_text())["traceEvents"]} == {2}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["7"], "has no invocation 7: it has 0 to 1"),
        (["1", "--out", "/nowhere/at/all.json"], "can't be written: No such file or directory; choose another"),
    ],
)
def test_a_mistake_is_a_sentence(
    run: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", str(run), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_run_without_events_has_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", make_outcomes([CONFIG], invocations=1))
    assert main(["trace", str(run)]) == 2
    assert "has no raw events" in capsys.readouterr().err
    assert main(["trace", str(run), "0"]) == 2
    assert "none were recorded" in capsys.readouterr().err
    assert not list(run.glob("trace*"))
