"""``gcbarrier report``: the page, in a real browser."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import browser
import pytest
from places import CHECKOUT
from synthetic import make_outcome, make_outcomes, write_run

from gcbarrier.commands import main
from gcbarrier.model import Config

Look = Callable[..., browser.Seen]
Command = Callable[..., subprocess.CompletedProcess[str]]
MIB = 1 << 20
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    '"><img src="https://example.org/x.png" onerror="document.title = 1">',
    "</style></script><script>document.title = 'owned'</script>",
    "<!-- &lt;b&gt; ]]> ${1} </svg>",
)
PAIRS = (
    ("none", "stop-the-world"),
    ("uffd-wp-async", "mostly-concurrent"),
    ("uffd-wp-pagemap", "mostly-concurrent"),
)


def configs(heap: str) -> list[Config]:
    return [Config(heap=heap, barrier=barrier, collector=collector) for barrier, collector in PAIRS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines, two heaps, and a failure for each hostile text."""
    outcomes = [
        outcome
        for machine, heap in (("native", "graph_edits"), ("native", "gcbench"), ("lab-6.12.95-tcg", "gcbench"))
        for outcome in make_outcomes(configs(heap), machine=machine)
    ]
    outcomes += [make_outcome(configs("gcbench")[1], 10 + at, error=error) for at, error in enumerate(HOSTILE)]
    return write_run(tmp_path_factory.mktemp("runs") / "shown", outcomes)


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    """The page of that run."""
    written = run.parent / "new" / "page.html"
    command = [sys.executable, "-m", "gcbarrier", "report", str(run), "--out", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{written}\n", "")
    return written


LOOK = """
  const table = document.querySelector("table.wide");
  const column = (name) => [...table.tHead.rows[0].cells].findIndex((head) => head.textContent === name);
  const words = (name) => [...table.tBodies[0].rows].map((row) => row.cells[column(name)].textContent);
  const values = (name) => [...table.tBodies[0].rows].map((row) => row.cells[column(name)].dataset.value ?? null);
  const head = (name) => table.tHead.rows[0].cells[column(name)];
  const click = (name) => head(name).querySelector("button").click();
  const figure = document.querySelector("figure");
  const view = figure.querySelector(".window");
  const box = () => figure.querySelector("svg").getAttribute("viewBox").split(" ").map(Number);
  const pressed = (key) => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  const key = (name) => view.dispatchEvent(pressed(name));
"""


SORTED = """
      const told = { printed: words("median"), names: words("barrier"), stalls: words("worst stall") };
      const hidden = () => [...table.querySelectorAll(".again")].map((place) => getComputedStyle(place).color);
      told.hidden = hidden();
      click("median");
      told.ascending = values("median").map(Number);
      told.aria = head("median").getAttribute("aria-sort");
      told.shown = hidden();
      told.named = words("barrier");
      click("median");
      told.descending = values("median").map(Number);
      click("median");
      told.again = words("median");
      told.after = head("median").getAttribute("aria-sort");
      click("worst stall");
      told.up = words("worst stall");
      click("worst stall");
      told.down = words("worst stall");
      click("barrier");
      told.letters = words("barrier");
      return told;"""

ZOOMED = """
      const told = { whole: box(), ids: [...document.querySelectorAll("[id]")].map((one) => one.id) };
      key("ArrowRight");
      told.still = box();
      key("+");
      told.zoomed = box();
      for (let i = 0; i < 50; i++) key("ArrowRight");
      told.right = box();
      key("0");
      told.reset = box();
      figure.querySelector("[data-zoom=in]").click();
      told.button = box();
      for (let i = 0; i < 99; i++) key("-");
      told.out = box();
      for (let i = 0; i < 99; i++) key("+");
      told.most = box();
      key("Escape");
      const svg = figure.querySelector("svg").getBoundingClientRect();
      const place = { clientX: svg.left + svg.width / 4, clientY: svg.top + svg.height / 4 };
      const at = { ...place, bubbles: true, cancelable: true };
      const scrolled = new WheelEvent("wheel", { ...at, deltaY: -100 });
      view.dispatchEvent(scrolled);
      told.scrolled = [box(), scrolled.defaultPrevented];
      view.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -100, ctrlKey: true }));
      told.wheel = box();
      told.focusable = view.tabIndex;
      told.references = [...document.querySelectorAll("svg [href]")].map((one) => one.getAttribute("href"));
      told.clips = [...document.querySelectorAll("svg [clip-path]")].map((one) => one.getAttribute("clip-path"));
      return told;"""

NAMED = """
      return {
          title: document.title,
          scripts: document.scripts.length,
          images: document.images.length,
          hidden: [...document.querySelectorAll("p, dd, code, td:not(.again), th, li, h1, h2")].filter((one) =>
            getComputedStyle(one).color === "rgba(0, 0, 0, 0)" && one.textContent).length,
          failed: [...document.querySelectorAll(".told .failed")].map((line) => line.textContent),
        };"""


@pytest.fixture(scope="module")
def told(page: Path, chromium: Look, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What scripts find on the page; one browser for all of them."""
    asked = {"sorted": SORTED, "zoomed": ZOOMED, "named": NAMED}
    each = ", ".join(f"{name}: (() => {{ {script} }})()" for name, script in asked.items())
    found = chromium(page, f"{LOOK} return {{ {each} }};", tmp_path_factory.mktemp("browser"))
    assert not found.complaints
    assert not found.asked_for
    return found.told


def test_tables_sort_by_the_numbers_behind_their_words(told: dict[str, Any]) -> None:
    told = told["sorted"]
    assert len(told["printed"]) == 4
    assert told["ascending"] == sorted(told["ascending"])
    assert told["descending"] == told["ascending"][::-1]
    units = [words.split()[-1] for words in told["printed"]]
    assert len(set(units)) > 1, "sorted as words these would be in another order"
    assert told["aria"] == "ascending"
    assert told["after"] is None
    assert told["again"] == told["printed"]
    # What is not there is last whichever way.
    assert told["up"][-1] == told["down"][-1] == "\N{EN DASH}"
    assert told["letters"] == sorted(told["letters"])
    # A name that the row above has said is there for who reads it out, and for all where the row above is another.
    assert all(told["named"])
    assert sorted(told["named"]) == sorted(told["names"])
    assert told["hidden"]
    assert set(told["hidden"]) == {"rgba(0, 0, 0, 0)"}
    assert "rgba(0, 0, 0, 0)" not in told["shown"]


def test_figures_zoom_by_keys_buttons_and_the_mouse(told: dict[str, Any]) -> None:
    told = told["zoomed"]
    x, y, width, height = told["whole"]
    assert told["still"] == told["reset"] == told["out"] == told["whole"]
    assert told["zoomed"] == told["button"] == pytest.approx([x + width / 6, y + height / 6, width / 1.5, height / 1.5])
    assert told["right"][0] + told["right"][2] == pytest.approx(x + width), "it never leaves the sheet"
    assert told["most"][2] == pytest.approx(width / 40)
    # A wheel alone scrolls the page; with Ctrl the place below the pointer stays where it is.
    assert told["scrolled"] == [told["whole"], False]
    assert told["wheel"][2] < width
    assert told["wheel"][0] + told["wheel"][2] / 4 == pytest.approx(x + width / 4, abs=1)
    assert told["focusable"] == 0
    assert len(told["ids"]) == len(set(told["ids"])), "two figures have an id in common"
    ids = set(told["ids"])
    assert told["references"]
    assert all(each.removeprefix("#") in ids for each in told["references"])
    assert told["clips"]
    assert all(each.removeprefix("url(#").removesuffix(")") in ids for each in told["clips"])


def test_what_others_have_named_is_text(told: dict[str, Any]) -> None:
    told = told["named"]
    assert told["title"] == "pause_times \N{EN DASH} gcbarrier"
    assert told["scripts"] == 2, "the page's, and this test's"
    assert told["images"] == 0
    assert told["hidden"] == 0
    assert [line.partition(": ")[2].split(": ", 2)[-1] for line in told["failed"]] == list(HOSTILE)


def test_on_a_narrow_screen_the_policy_stops_what_would_be_loaded(page: Path, chromium: Look, tmp_path: Path) -> None:
    found = chromium(
        page,
        """
      const image = document.createElement("img");
      image.src = "https://gcbarrier.invalid/x.png";
      document.body.append(image);
      const inline = document.createElement("script");
      inline.textContent = "document.title = 'owned'";
      document.body.append(inline);
      document.body.insertAdjacentHTML("beforeend", "<b onclick='document.title = 1' style='color: red'>x</b>");
      document.querySelector("b").click();
      return { title: document.title, wide: document.documentElement.scrollWidth, there: innerWidth };""",
        tmp_path,
        "--window-size=500,800",
    )
    assert found.told["title"] == "pause_times \N{EN DASH} gcbarrier"
    assert found.told["wide"] <= found.told["there"] <= 500, "what is wide scrolls by itself, not the page"
    assert not found.asked_for
    # A test of the tests above: what a browser complains of is heard.
    stopped = " ".join(found.complaints)
    for what in ("gcbarrier.invalid", "inline script", "inline style", "inline event handler"):
        assert what in stopped, stopped


def test_a_page_names_no_place_to_load_from(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for hostile in HOSTILE:
        assert hostile not in text
    assert set(re.findall(r"\w+://[^\s\"&]*", text)) == {"https://example.org/x.png"}, "the hostile error's, as text"
    assert not re.search(r"<(link|img|iframe|object|embed|audio|video|base|form)\b", text)
    assert not re.search(r"<[^>]*\s(src|style|on\w+)=", text)
    assert [path.name for path in page.parent.iterdir()] == ["page.html"], "nothing is left beside it"


def test_runs_of_one_experiment_share_a_part_and_others_have_their_own(gcbarrier: Command, tmp_path: Path) -> None:
    made = (("native", "one", "pause_times"), ("lab-6.12.95-tcg", "other", "pause_times"), ("native", "third", "bill"))
    one, other, third = (
        write_run(tmp_path / name, make_outcomes(configs("gcbench"), machine=machine, invocations=1), b"", experiment)
        for machine, name, experiment in made
    )
    page = tmp_path / "page.html"
    done = gcbarrier("report", str(one), str(other), str(third), "--out", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'<article id="(\w+)-">', text) == ["r1", "r2"]
    assert re.findall(r'<a href="#(\w+)-">', text) == ["r1", "r2"]
    assert re.findall(r'data-figure="([^"]+)"', text) == [
        "pause_times-native",
        "pause_times-lab-6.12.95-tcg",
        "bill-native",
    ]
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_a_run_that_was_stopped_says_so_above_all(gcbarrier: Command, run: Path, tmp_path: Path) -> None:
    there = tmp_path / "stopped"
    shutil.copytree(run, there)
    manifest = json.loads((there / "manifest.json").read_text(encoding="utf-8"))
    plan = {"configs": [{}] * 20, "probes": [], "invocations": 3}
    manifest |= {"state": "stopped", "quick": True, "plans": {"native": plan}, "request": {}, "seed": 7}
    manifest["until"] = {"native": {"words": "native: as narrow as <that>"}}
    (there / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = gcbarrier("report", str(there))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{there}/report.html\n", "")
    text = (there / "report.html").read_text(encoding="utf-8")
    head = text.partition("</header>")[0]
    assert "the run was stopped" in head
    assert f"gcbarrier run --resume {there}" in head
    assert "22 of 60 outcomes are there" in head
    assert "--quick" in head
    assert "native: as narrow as &lt;that&gt;" in head
    assert f"gcbarrier run --from {there}" in text.partition("How to measure it again")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "RUN/../shown"], "is the same run as"),
        (["COPY", "AGAIN", "--out", "FOLDER/page.html"], "AGAIN is a copy of COPY: it would"),
        (["RUN", "COPY"], "name a file with --out"),
        (["RUN", "--out", "FOLDER"], "the page can't be written to FOLDER: Is a directory; name a file"),
        (["FOLDER"], "is no run directory"),
    ],
)
def test_what_can_not_be_shown_is_said_in_a_sentence(
    run: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    copied = shutil.copytree(run, tmp_path / "copied")
    dated = json.loads((copied / "manifest.json").read_text(encoding="utf-8")) | {"date": "2025-03-04", "seed": 7}
    (copied / "manifest.json").write_text(json.dumps(dated), encoding="utf-8")
    again = shutil.copytree(copied, tmp_path / "again")
    names = {"RUN": str(run), "COPY": str(copied), "AGAIN": str(again), "FOLDER": str(folder)}
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
        said = said.replace(name, path)
    assert main(["report", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not list(folder.iterdir())
