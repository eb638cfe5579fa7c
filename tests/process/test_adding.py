"""Adding costs one place: newcomers from a temporary folder are found, run and judged; a wrong barrier is caught."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT, PLUGINS

from gcbarrier import measure
from gcbarrier.bench.trial import try_out
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.settings import read
from gcbarrier.errors import Unavailable
from gcbarrier.model import Config
from gcbarrier.plugins import discovery

MIB = 1 << 20
Run = Callable[..., subprocess.CompletedProcess[str]]


def state_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def copy(kind: str, name: str, into: Path) -> list[Path]:
    """One plug-in into a user's own folder; the files that it took."""
    source = PLUGINS / kind
    found = [*source.glob(f"{name}.*"), *source.glob(f"{name}/*.[chp]*")]
    for file in found:
        target = into / kind / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return found


def test_a_barrier_and_a_heap_are_two_files_each_and_no_edit(tmp_path: Path, needs, gcbarrier: Run) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    before = state_of(CHECKOUT / "gcbarrier"), state_of(CHECKOUT / "heaps")
    own = tmp_path / "own"
    barrier, heap = copy("barriers", "lossy", own), copy("heaps", "ring", own)
    assert sorted(file.name for file in barrier) == ["lossy.c", "lossy.py"]
    assert sorted(file.name for file in heap) == ["heap.py", "mutator.c"]

    listed = gcbarrier("--path", str(own), "list", "barriers", "--json")
    assert "lossy" in {entry["name"] for entry in json.loads(listed.stdout)}
    looked = gcbarrier("--path", str(own), "doctor", "--no-lab", "--json")
    entries = {entry["name"]: entry for entry in json.loads(looked.stdout)["barriers"]}
    assert entries["lossy"]["native"]["works"], "a handful of pages is below its thousand"
    assert entries["lossy"]["loses"] == "one written page in a thousand"

    discovery.add_path(own)
    out = tmp_path / "run"
    settings = read(["barrier=lossy", "heap=ring", "heap_bytes=4MiB", "duration_s=0.2", "seed=1", "invocations=1"])
    run = campaign.run("pause_times", out=out, quick=True, settings=settings)
    measured = {(each.invocation.config.heap, each.invocation.config.barrier) for each in run.outcomes if each.pauses}
    assert measured == {("ring", "lossy"), ("ring", "none")}
    assert (state_of(CHECKOUT / "gcbarrier"), state_of(CHECKOUT / "heaps")) == before


def test_a_collector_and_an_experiment_are_one_file_each(tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    own = tmp_path / "own"
    assert [file.name for file in copy("collectors", "once_more", own)] == ["once_more.py"]
    assert [file.name for file in copy("experiments", "tiny", own)] == ["tiny.py"]
    copy("heaps", "ring", own)
    discovery.add_path(own)
    run = campaign.run("tiny", out=tmp_path / "run", settings=read(["barrier=uffd-wp-async", "machine=native"]))
    assert {each.invocation.config.collector for each in run.outcomes} == {"stop-the-world", "once-more"}
    assert all(cycle.rounds <= 1 for each in run.outcomes for cycle in each.cycles)
    assert not campaign.failures(run)


@pytest.mark.parametrize(
    ("heap", "params"), [("graph_edits", {"rate_per_s": 0, "move_share": 0.5}), ("ring", {"entries": 40_000})]
)
def test_a_barrier_that_drops_a_page_in_a_thousand_is_caught(heap: str, params: dict[str, float], needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    discovery.add_path(PLUGINS)
    config = Config(
        heap=heap,
        heap_params=params,
        barrier="lossy",
        collector="mostly-concurrent",
        heap_bytes=32 * MIB,
        duration_s=5,
        verify=True,
    )
    (outcome,) = measure(config, seed=3)
    lost = re.search(
        r"cycle (\d+): lost object at offset \d+ \(page \d+\), reachable from slot \d+ of the object at offset \d+ "
        r"\(page \d+\), is not marked",
        outcome.error,
    )
    pages = re.search(r"the barrier lost \d+ of \d+ written pages in \d+ cycles", outcome.error)
    assert lost or pages, outcome.error
    honest = Config(**{**config_fields(config), "barrier": "uffd-wp-async", "duration_s": 0.5})
    assert measure(honest, seed=3)[0].error == ""


def config_fields(config: Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in ("heap", "heap_params", "collector", "heap_bytes", "verify")}


def test_a_barrier_that_does_nothing_is_not_believed(tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    for kind, text in (
        (".py", (PLUGINS / "barriers" / "lossy.py").read_text()),
        (
            ".c",
            (CHECKOUT / "gcbarrier" / "barriers" / "none.c")
            .read_text()
            .replace(".close = close_nothing}", ".close = close_nothing, .tracks = true}"),
        ),
    ):
        target = tmp_path / "barriers" / f"idle{kind}"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    discovery.add_path(tmp_path)
    with pytest.raises(Unavailable, match="a page written after it was armed was not reported"):
        try_out("idle")
