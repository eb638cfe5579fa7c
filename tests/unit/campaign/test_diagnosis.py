"""Whose fault a failure under stress is, by what the same program does without a barrier."""

import pytest
from synthetic import make_outcome

from gcbarrier.campaign import diagnosis
from gcbarrier.campaign.diagnosis import explained, hung
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.model import Config, Invocation, Measured, Outcome, evolve
from gcbarrier.session.ours import SessionJob

CONFIG = Config(
    heap="allocate",
    barrier="uffd-wp-async",
    collector="mostly-concurrent",
    collector_params={"rounds": 1},
    memory="shmem-thp",
    stress=10,
)
GONE = "mutator 0 used an object that a collection has freed, by gcb_load in gcb_mutate (x/mutator.c:3)"
BLAMED = "the mistake is in the mutator of allocate: it uses a reference across a safepoint"


@pytest.fixture(autouse=True)
def _nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis.programs, "prepare", lambda _: None)
    monkeypatch.setattr("gcbarrier.barriers.Chosen.compile", lambda _: None)


def told(
    error: str, config: Config = CONFIG, reference: Outcome | GcBarrierError | None = None
) -> tuple[str, list[Config]]:
    """What is said, and which configurations were tried besides."""
    tried = []

    def again(job: SessionJob) -> Outcome:
        tried.append(job.invocation.config)
        if isinstance(reference, GcBarrierError):
            raise reference
        assert reference is not None
        return reference

    plugin: build.Plugin = None  # type: ignore[assignment]
    job = SessionJob(invocation=Invocation(config=config, index=2, seed=7), barrier=plugin, program=plugin)  # type: ignore[arg-type]
    measured = Measured(record=evolve(make_outcome(config, 2), error=error))
    return explained(measured, job, again).record.error, tried


def test_what_fails_without_a_barrier_too_is_the_mutators() -> None:
    said, tried = told(GONE, reference=make_outcome(CONFIG, 0, error=GONE))
    assert said.startswith(GONE)
    assert "it fails under stop-the-world, without a barrier, as well" in said
    assert BLAMED in said
    (reference,) = tried
    assert (reference.barrier, reference.collector, reference.memory) == ("none", "stop-the-world", "shmem")
    assert (reference.heap, reference.stress) == (CONFIG.heap, CONFIG.stress)


def test_what_passes_without_a_barrier_is_not() -> None:
    said, _ = told(GONE, reference=make_outcome(CONFIG, 0, cycles=12))
    assert "without a barrier, the same program passes (" in said
    assert "look at the barrier uffd-wp-async and the collector mostly-concurrent first" in said
    assert BLAMED not in said


def test_another_failure_without_a_barrier_blames_nobody() -> None:
    said, _ = told("out of memory: the heap", reference=make_outcome(CONFIG, 0, error="out of memory: the heap"))
    assert said.endswith("as well: out of memory: the heap")
    assert BLAMED not in said


def test_the_baseline_itself_is_not_run_again() -> None:
    baseline = evolve(CONFIG, barrier="none", collector="stop-the-world")
    said, tried = told(GONE, baseline)
    assert tried == []
    assert BLAMED in said
    said, tried = told("out of memory: the heap", baseline)
    assert tried == []
    assert BLAMED not in said


def test_a_reference_that_cannot_be_run_is_said() -> None:
    said, _ = told(GONE, reference=Unavailable("a C compiler", "there is no cc"))
    assert said.endswith("is not known: a C compiler is not available here: there is no cc")


def test_without_stress_nothing_is_run_again_and_without_an_error_nothing_is_said() -> None:
    plain = evolve(CONFIG, stress=0)
    assert told(GONE, plain) == (GONE, [])
    assert told("") == ("", [])


def test_a_crash_names_the_sanitizer_unless_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    crash, plain = "the invocation's process crashed (SIGSEGV)", evolve(CONFIG, stress=0)
    assert "--sanitize address" in told(crash, plain)[0]
    assert "--sanitize" not in told("the invocation's process crashed (SIGALRM)", plain)[0]
    monkeypatch.setenv("GCBARRIER_SANITIZE", "address")
    assert told(crash, plain) == (crash, [])


def test_a_hang_keeps_the_stacks_that_it_came_with() -> None:
    stacks = "; it said last\n  | where everybody is"
    assert hung(f"the invocation's process crashed (SIGALRM){stacks}", 12.4).endswith(f"too slow{stacks}")
    assert hung("the invocation's process hung", 12.4).endswith("too slow")
    assert "12 s" in hung("", 12.4)
