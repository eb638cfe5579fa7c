"""What is said of an invocation that failed: where in the C it was, what to try next, and whose fault it may be."""

import re
from collections.abc import Callable

from gcbarrier import barriers
from gcbarrier.core import build, places
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, Config, Measured, Outcome, evolve
from gcbarrier.session import program as programs
from gcbarrier.session.ours import SessionJob

_HUNG = "it ran over its deadline of {:.0f} s: a mutator did not come to a safepoint, or the machine is too slow"
_SAID = "; it said last\n"
_CRASHED = re.compile(r"crashed \((SIG\w+)\)")
# Of an object that is none any more: by the mutator's own checks, by a poisoned word, by the oracle.
_UNROOTED = re.compile("that a collection has freed|has poisoned it|has a broken header|is no object")
_ROOTLESS = (
    "it uses a reference across a safepoint (an allocation, gcb_poll, gcb_next, gcb_pace) that no handle, no global "
    "and no reachable object holds"
)


def hung(told: str, seconds: float) -> str:
    """What is said of an invocation that its deadline has ended, with where its threads were if they ``told``."""
    return _HUNG.format(seconds) + told[told.index(_SAID) :] if _SAID in told else _HUNG.format(seconds)


def explained(measured: Measured, job: object, again: Callable[[SessionJob], Outcome]) -> Measured:
    """``measured`` with an error, if it has one, that says all that can be known; ``again`` runs a job like it.

    A stressed invocation that failed is run once more without a barrier and with the world stopped.
    """
    if not measured.record.error:
        return measured
    error = places.named(measured.record.error)
    if (crash := _CRASHED.search(error)) and crash[1] != "SIGALRM" and not build.sanitizers():
        error = f"{error}\n`gcbarrier run ... --sanitize address` tells more of it, in most cases where it began"
    if isinstance(job, SessionJob) and job.invocation.config.stress:
        error = f"{error}\n{_verdict(job, error, again)}"
    return evolve(measured, record=evolve(measured.record, error=error))


def _verdict(job: SessionJob, error: str, again: Callable[[SessionJob], Outcome]) -> str:
    config = job.invocation.config
    reference = _reference(config)
    mistake = f"the mistake is in the mutator of {config.heap}: {_ROOTLESS}"
    if (config.barrier, config.collector) == (reference.barrier, reference.collector):
        if not _UNROOTED.search(error):
            return "no barrier took part in it, and everything was marked while the world was stopped"
        return f"no barrier took part and the world was stopped: {mistake}"
    try:
        job = SessionJob(
            invocation=evolve(job.invocation, config=reference),
            barrier=barriers.of(reference).compile(),
            program=programs.prepare(reference),
        )
        outcome = again(job)
    except GcBarrierError as problem:
        return f"whether it fails under stop-the-world, without a barrier, is not known: {problem}"
    if not outcome.error:
        return (
            f"under stop-the-world, without a barrier, the same program passes ({len(outcome.cycles)} cycles): look at "
            f"the barrier {config.barrier} and the collector {config.collector} first"
        )
    told = places.named(outcome.error)
    if _UNROOTED.search(error) and _UNROOTED.search(told):
        told = mistake
    return f"it fails under stop-the-world, without a barrier, as well: {told}"


def _reference(config: Config) -> Config:
    return evolve(
        config,
        barrier="none",
        barrier_params={},
        collector="stop-the-world",
        collector_params={},
        memory=MEMORY_TYPES[0],
    )


__all__ = ["explained", "hung"]
