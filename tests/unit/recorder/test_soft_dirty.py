"""Recording by soft-dirty where there is none: how it is refused, and how what the kernel writes is read."""

from pathlib import Path

import pytest

from gcbarrier.commands import main
from gcbarrier.errors import Unavailable
from gcbarrier.machines.features import Feature
from gcbarrier.recorder import session, soft_dirty
from gcbarrier.recorder.soft_dirty import marked, require_soft_dirty

SMAPS = b"""\
00400000-00401000 r-xp 00000000 08:01 1 /usr/bin/sd sd
Rss:                   4 kB
VmFlags: rd ex mr mw me sd
7f0000000000-7f0000004000 rw-p 00000000 00:00 0
Rss:                  16 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me ac
7f0000004000-7f0000005000 rw-p 00000000 00:00 0    [anon: sd]
VmFlags: rd wr mr mw me ac sd
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
VmFlags: ex
"""


def test_marked_mappings_are_those_with_the_flag_whatever_they_are_called() -> None:
    assert marked(SMAPS.splitlines()).tolist() == [[0x400000, 0x401000], [0x7F0000004000, 0x7F0000005000]]
    assert marked([]).shape == (0, 2)


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """This kernel has no soft-dirty bits."""

    def feature(name: str) -> Feature:
        assert name == "soft-dirty"
        return Feature(name=name, works=False, why="a written page does not read as soft-dirty")

    monkeypatch.setattr(soft_dirty, "feature", feature)
    monkeypatch.setattr(session, "feature", feature)


@pytest.mark.usefixtures("lacking")
def test_where_there_are_no_such_bits_the_lab_is_named() -> None:
    with pytest.raises(Unavailable) as refused:
        require_soft_dirty()
    assert str(refused.value) == (
        "recording with soft-dirty is not available here: a written page does not read as soft-dirty (record in the "
        "lab, with --machine lab, whose kernel has them; `gcbarrier lab setup` fetches it)"
    )


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("tracker", ["soft-dirty", "both"])
def test_the_command_refuses_it_before_anything_runs(
    tracker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "app.pages"
    assert main(["record", "--with", tracker, "--out", str(out), "--", "touch", str(tmp_path / "ran")]) == 2
    assert "recording with soft-dirty is not available here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("lacking")
def test_a_running_process_is_refused_with_the_reason_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--pid", "1", "--out", str(tmp_path / "app.pages")]) == 2
    assert capsys.readouterr().err == (
        "gcbarrier: recording a process that runs already is not available here: to be write-protected, a process has "
        "to open a userfaultfd itself when it starts, and soft-dirty does not work: a written page does not read as "
        "soft-dirty (start it with `gcbarrier record -- COMMAND`)\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pid", "1", "--", "true"], "leave the command out"),
        (["--pid", "1", "--machine", "lab"], "--pid is of a process of this machine"),
        (["--pid", "1", "--slow-down", "2"], "which a process of --pid can't be"),
        (["--with", "both", "--slow-down", "2", "--", "true"], "measures one way at a time"),
        (["--include", "x", "--", "true"], "are of the lab"),
        (["--kernel", "x", "--", "true"], "are of the lab"),
        ([], "say what to record"),
    ],
)
def test_what_can_not_be_asked_for_together(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", *words]) == 2
    assert said in capsys.readouterr().err
