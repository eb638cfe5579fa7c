"""What is wrong with a plan from the start is told before anything is measured and before a guest is booted."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import barriers
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.runner import Step
from gcbarrier.campaign.settings import read
from gcbarrier.campaign.watching import Watch
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery

EXPERIMENT = '''"""What was known before?"""
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Probe

def session(heap="ring", barrier="none"):
    return Config(heap=heap, barrier=barrier, collector="stop-the-world", heap_bytes=8 << 20, duration_s=0.1)

def probe(barrier):
    return Probe(function="gcbarrier.bench.costs:arming", barrier=barrier, heap_bytes=1 << 20)

def plan(*, machine, quick):
    return Plan(invocations=1, **({here}))

def figures(run):
    return {{}}

def table(run):
    return ""
'''
PROMISES = '"""Mine."""\nfrom gcbarrier.model import Barrier\nBARRIER = Barrier(needs=(%s))\n'
BROKEN = "int missing(void) { return gone; }\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a heap that is well, in which a lab is ready and nobody may boot it or measure."""
    shutil.copytree(PLUGINS / "heaps" / "ring", tmp_path / "own" / "heaps" / "ring")
    for kind in ("barriers", "experiments"):
        (tmp_path / "own" / kind).mkdir()
    discovery.add_path(tmp_path / "own")

    @contextlib.contextmanager
    def no_guest(*_: object):
        pytest.fail("a guest was booted")
        yield

    monkeypatch.setattr(campaign, "guest_for", no_guest)
    monkeypatch.setattr(campaign, "require_lab", lambda *_: None)
    return tmp_path / "own"


def barrier(own: Path, name: str, source: str, needs: str = "") -> None:
    (own / "barriers" / f"{name}.py").write_text(PROMISES % needs)
    (own / "barriers" / f"{name}.c").write_text(source)


def refused(own: Path, plan: str, *settings: str) -> str:
    """What ``run`` says of this plan, in which nothing may have been measured."""
    (own / "experiments" / "known.py").write_text(EXPERIMENT.format(here=plan))

    def begun(_: str, steps: Sequence[Step]) -> None:
        pytest.fail(f"{len(steps)} invocations were begun")

    with pytest.raises(GcBarrierError) as said:
        campaign.run("known", out=own / "out", settings=read(settings), watch=Watch(steps=begun))
    assert not (own / "out").exists()
    return str(said.value)


def test_a_barrier_that_does_not_compile(own: Path) -> None:
    barrier(own, "mine", BROKEN)
    said = refused(own, "dict(configs=(session(), session(barrier='mine')))")
    assert "the C compiler failed" in said
    assert "mine.c:1" in said


def test_a_barrier_that_does_not_compile_with_the_parameters_of_the_plan(own: Path) -> None:
    text = PROMISES % "" + "from attrs import frozen\n@frozen(kw_only=True)\nclass Params:\n    size: int = 1\n"
    none = Path(barriers.__file__).with_name("none.c").read_text()
    (own / "barriers" / "mine.py").write_text(text)
    (own / "barriers" / "mine.c").write_text(f'{none}\n_Static_assert(GCB_PARAM_size < 7, "too large");\n')
    assert "too large" in refused(own, "dict(configs=(session(), session(barrier='mine')))", "mine.size=9")


def test_a_barrier_of_a_probe_that_does_not_compile_beside_sessions_that_do(own: Path) -> None:
    barrier(own, "mine", BROKEN)
    assert "mine.c:1" in refused(own, "dict(configs=(session(),), probes=(probe('mine'),))")


def test_a_mutator_that_does_not_compile_and_is_for_the_lab_alone(own: Path) -> None:
    shutil.copytree(PLUGINS / "heaps" / "ring", own / "heaps" / "wrong")
    (own / "heaps" / "wrong" / "mutator.c").write_text(BROKEN)
    barrier(own, "mine", Path(barriers.__file__).with_name("none.c").read_text(), needs="'soft-dirty',")
    plan = "dict(configs=(session('ring' if machine.name == 'native' else 'wrong'),), counted=True)"
    # That it wants counts is what sends it there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gcbarrier.machines.lab.status", lambda: type("Ready", (), {"ready": True}))
        assert "mutator.c:1" in refused(own, plan)
    assert "mutator.c:1" in refused(own, plan, "machine=lab")


def test_a_barrier_that_does_not_open_though_nothing_is_lacking(own: Path) -> None:
    barrier(
        own,
        "mine",
        '#include "barrier.h"\n'
        "static int broken(gcb_barrier *barrier) {\n"
        '  (void)barrier;\n  return gcb_set_error("the moon is full");\n'
        "}\n"
        "static void close_nothing(gcb_barrier *barrier) {\n  (void)barrier;\n}\n"
        "static int nothing(gcb_barrier *barrier) {\n  (void)barrier;\n  return 0;\n}\n"
        "static int collect(gcb_barrier *b, bool rearm, gcb_dirty_set *d) {\n  (void)b, (void)rearm, (void)d;\n"
        "  return 0;\n}\n"
        "GCB_BARRIER = {.open = broken, .arm = nothing, .collect = collect, .close = close_nothing, .tracks = true};\n",
        needs="'memfd',",
    )
    said = refused(own, "dict(configs=(session(), session(barrier='mine')))")
    assert "the barrier mine does not work on shmem memory, though all is here that it needs" in said
    assert "the moon is full" in said
