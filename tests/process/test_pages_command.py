"""``gcbarrier pages``: one recording, several, one of its processes, and what can't be shown."""

from pathlib import Path

import pytest
from made_up import PAGES, save

from gcbarrier.commands import main


def test_a_recording_is_told_and_drawn_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "app.pages", PAGES, notes=("[One] got away.",))
    assert main(["pages", str(path)]) == 0
    said = capsys.readouterr().out
    words = " ".join(said.split())  # a name or note is broken where the line ends
    assert "pages written" in words
    assert "processor time when armed every 10 ms" in words
    assert "[One] got away." in words
    assert "of 1" not in words, "a single process needs no list"
    assert (tmp_path / "pages-app.png").read_bytes().startswith(b"\x89PNG")
    assert "Pages that app wrote" in (tmp_path / "pages-app.svg").read_text()
    assert said.endswith(f"{tmp_path / 'pages-app.png'}\n{tmp_path / 'pages-app.svg'}\n")


def test_several_share_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [save(tmp_path / f"{name}.pages", PAGES) for name in ("one", "two")]
    assert main(["pages", *map(str, paths), "--out", str(tmp_path / "figures")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["one", "two"]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["pages.png", "pages.svg"]


def test_the_process_that_wrote_most_or_the_one_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "app.pages", [[1]], PAGES)
    assert main(["pages", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())  # a name is broken where the line ends
    assert "watched for 400 ms" in said
    assert "program 'of 2'" in said
    assert main(["pages", str(path), "--process", "0"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "app-0" in said
    assert "watched for 10 ms" in said
    assert (tmp_path / "pages-app-0.png").exists()


def test_numbers_for_a_text_draw_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pages", "--markdown", str(save(tmp_path / "app.pages", PAGES))]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["|  | app |", "| --- | ---: |"]
    assert [path.name for path in tmp_path.iterdir()] == ["app.pages"]


def test_a_recording_of_nothing_is_shown_too(tmp_path: Path) -> None:
    assert main(["pages", str(save(tmp_path / "app.pages", []))]) == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere.pages"], "there is no recording 'nowhere.pages'"),
        (["app.pages", "./app.pages"], "a recording is named twice"),
        (["app.pages", "--process", "1"], "app.pages has 1 process, number 0, and none is number 1"),
        (["two.pages", "--process", "-1"], "two.pages has 2 processes, counted from 0, and none is number -1"),
        (["app.pages", "two.pages", "--process", "0"], "--process is of one recording"),
        (["text.pages"], "text.pages is damaged or not a recording"),
        (["app.pages", "--out", "text.pages"], "the figures can't be written to text.pages"),
    ],
)
def test_what_can_not_be_shown_is_said_in_a_sentence(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("app.pages"), [[1]])
    save(Path("two.pages"), [[1]], [[2]])
    Path("text.pages").write_text("no recording")
    assert main(["pages", *arguments]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))
