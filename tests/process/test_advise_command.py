"""``gcbarrier advise`` as a user types it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from constants import usual

from gcbarrier.campaign import calibration
from gcbarrier.commands import main
from gcbarrier.costs import kept
from gcbarrier.costs.constants import Constants
from gcbarrier.page_traces import pagesfile

PAGE = 4096
TICK_NS = 10_000_000


def write(path: Path, ticks: int) -> Path:
    """A recording of so many ticks, of pages at random."""
    luck = np.random.default_rng(1)
    with pagesfile.Writer(path, command=("p",), every_ns=TICK_NS, tracker="uffd-wp-async", facts={}) as writer:
        number = writer.begin(
            pid=1, parent_pid=None, began="start", command=("p",), initial=np.array([[0, 4000 * PAGE]], np.uint64)
        )
        for tick in range(ticks):
            pages = np.unique(luck.integers(0, 4000, 300)).astype(np.uint64) * np.uint64(PAGE)
            begin = tick * TICK_NS
            writer.tick(
                number,
                begin_ns=begin,
                end_ns=begin + TICK_NS,
                collect_ns=1000,
                cpu_ns=TICK_NS,
                faults=len(pages),
                runs=np.stack([pages, pages + np.uint64(PAGE)], axis=1),
            )
        writer.end(number, ended="exit 0", mappings=())
        writer.close()
    return path


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of a second, and a machine whose constants are known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept.keep(evolve(usual(), facts=calibration.facts()))

    def unwanted(**_: object) -> Constants:
        raise AssertionError("they are known")

    monkeypatch.setattr(calibration, "measured", unwanted)
    return write(tmp_path / "app.pages", 100)


def test_this_machine_has_all_facts_that_constants_are_kept_by() -> None:
    """Names of processors hide which one it is."""
    told = calibration.facts()
    assert set(kept.KEYED) <= set(told)
    assert re.fullmatch(r"(\d+/)*\d+|unknown", told["stepping"])
    assert "enabled" in told["huge pages"]


def test_a_table_for_each_length_and_sentences(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(recording), "--cycle", "50ms,2s"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("app: 1 s recorded")
    assert "cycles of 50 ms" in out
    assert "cycles of 2 s" in out
    for name in ("uffd-wp-log", "uffd-wp-async", "mprotect", "cards"):
        assert len(re.findall(rf"^{name}  ", out, re.MULTILINE)) == 2
    assert "In cycles of 2 s nothing is known for certain" in out
    assert "at least" in out


def test_json_has_the_same(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(recording), "--json", "--heap", "1GiB", "--mutators", "4", "--cycle", "100ms"]) == 0
    told = json.loads(capsys.readouterr().out)
    (length,) = told["lengths"]
    assert (told["pages"], told["mutators"]) == (1 << 18, 4)
    assert {offer["barrier"] for offer in length["offers"]} == {"uffd-wp-log", "uffd-wp-async", "mprotect", "cards"}
    for offer in length["offers"]:
        for number in ("mutators", "collector", "bill", "remark_ns"):
            assert offer[number]["low"] <= offer[number]["centre"] <= offer[number]["high"]
    assert length["lowest_bill"]["barrier"]
    assert length["crossings"]
    assert any("lowest bill" in sentence for sentence in told["sentences"])


def test_stores_that_are_known_are_no_more_at_least(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(recording), "--json", "--stores-per-page", "20", "--cycle", "100ms"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not any(offer["at_least"] for offer in told["lengths"][0]["offers"])


def test_it_draws_a_curve_for_each_barrier(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(recording), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["advice-app.png", "advice-app.svg"]
    assert "advice-app.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cycle", "soon"], "is no length"),
        (["--cycle", "0s"], "is no length"),
        (["--cycle", "100ms,"], "is no length"),
        (["--heap", "much"], "is not a size"),
        (["--heap", "0"], "is no heap"),
        (["--calibrate", "--constants", "x"], "leave one of them out"),
        (["--constants", "nowhere"], "nowhere"),
        (["--mutators", "0"], "number of threads"),
        (["--stores-per-page", "none"], "number of stores"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    recording: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["advise", str(recording), *words])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_recording_of_next_to_nothing_or_none_is_refused(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = write(tmp_path / "short.pages", 2)
    assert main(["advise", str(short)]) == 2
    assert "record for longer" in capsys.readouterr().err
    assert main(["advise", str(recording) + "x"]) == 2
    assert main(["advise", str(tmp_path)]) == 2


def test_a_run_without_probes_has_no_constants(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from synthetic import make_outcome, write_run

    from gcbarrier.model import Config

    config = Config(heap="gcbench", barrier="none", collector="stop-the-world")
    run = write_run(tmp_path / "run", [make_outcome(config, 0)])
    assert main(["advise", str(recording), "--constants", str(run)]) == 2
    assert "no readings of probes" in capsys.readouterr().err
