"""What a barrier's C file says of itself, and what its Python file promises."""

from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier import barriers, measure
from gcbarrier.core import build
from gcbarrier.core.library import open_core
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Barrier, Config
from gcbarrier.plugins import discovery

NONE = (CHECKOUT / "gcbarrier" / "barriers" / "none.c").read_text()


def declared(folder: Path, *flags: str) -> Path:
    """A barrier's C file that says these of itself."""
    text = NONE.replace("close_nothing}", ", ".join(["close_nothing", *(f".{flag} = true" for flag in flags)]) + "}")
    assert all(f".{flag} = true" in text for flag in flags)
    source = folder / "idle.c"
    source.write_text(text)
    return source


@pytest.mark.parametrize(
    ("flags", "promises", "wrong"),
    [
        (("tracks",), Barrier(tracks=False), r"idle\.c has \.tracks = true and the BARRIER of idle\.py tracks=False"),
        ((), Barrier(), r"idle\.c has \.tracks = false and the BARRIER of idle\.py tracks=True"),
        (("tracks", "snapshot"), Barrier(), r"\.snapshot = true .* snapshot=False"),
        (("tracks", "snapshot"), Barrier(snapshot=True, fork=True), r"\.fork = false .* fork=True"),
    ],
)
def test_a_barrier_that_contradicts_itself_is_refused(
    tmp_path: Path, flags: tuple[str, ...], promises: Barrier, wrong: str
) -> None:
    plugin = build.barrier(declared(tmp_path, *flags))
    with pytest.raises(GcBarrierError, match=f"the barrier idle contradicts itself: .*{wrong}"):
        open_core(plugin.core).barrier(plugin.library, promises)
    agreed = Barrier(**{flag: flag in flags for flag in ("tracks", "snapshot", "fork")})
    assert open_core(plugin.core).barrier(plugin.library, agreed)


@pytest.mark.parametrize("name", discovery.names("barriers"))
def test_barriers_say_the_same_in_both_files(name: str) -> None:
    chosen = barriers.choose(name)
    if chosen.prototype is None:
        plugin = chosen.compile()
        assert open_core(plugin.core).barrier(plugin.library, chosen.promises)


def test_a_session_over_one_that_does_not_fails_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "barriers"
    folder.mkdir()
    declared(folder, "tracks")
    (folder / "idle.py").write_text(
        '"""Idle."""\n\nfrom gcbarrier.model import Barrier\n\nBARRIER = Barrier(tracks=False, atomic=True)\n'
    )
    discovery.add_path(tmp_path)
    (outcome,) = measure(Config(heap="gcbench", barrier="idle", collector="stop-the-world", heap_bytes=32 << 20))
    assert outcome.error.startswith("the barrier idle contradicts itself: idle.c has .tracks = true and")
