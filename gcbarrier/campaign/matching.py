"""Which heap, barrier, collector and memory go together, and a collector that goes with a barrier."""

from gcbarrier import barriers, collectors
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, TWO_VIEWS, Config
from gcbarrier.session import program as programs

# By a barrier's ``snapshot`` and ``fork``: what it reports, and a collector for that.
_PAIRS = {
    (False, False): ("where stores write", "mostly-concurrent"),
    (True, False): ("what stores overwrite", "snapshot-concurrent"),
    (True, True): ("nothing and leaves the marking to a forked child", "fork-snapshot"),
}


def partner(barrier: str) -> str:
    """A collector that goes with the barrier. Raises GcBarrierError where there is none of that name."""
    promised = barriers.promises_of(barrier)
    return _PAIRS[promised.snapshot, promised.fork][1] if promised.tracks else "stop-the-world"


def check(config: Config) -> None:
    """Raises GcBarrierError where this heap, barrier and collector can't be run together or a parameter is wrong."""
    collector = collectors.of(config)
    chosen = barriers.of(config)
    barrier = chosen.promises
    if collector.runtime is not None and (config.barrier, config.memory) != ("none", MEMORY_TYPES[0]):
        raise GcBarrierError(
            f"the collector {config.collector} brings its own memory, which {config.barrier} on {config.memory} memory "
            f"does not watch: choose the barrier none and {MEMORY_TYPES[0]}"
        )
    chosen.require_memory(config.memory)
    if config.stress:
        _check_stress(config, own_memory=collector.runtime is not None, watched=barrier.tracks and not barrier.fork)
    wanted, promised = (collector.needs_snapshot, collector.needs_fork), (barrier.snapshot, barrier.fork)
    if collector.needs_tracking and barrier.tracks and wanted != promised:
        reports, partner = _PAIRS[promised]
        raise GcBarrierError(
            f"the collector {config.collector} can't run over {config.barrier}, which reports {reports}: "
            f"choose {partner} or another barrier"
        )
    if collector.needs_tracking and not barrier.tracks:
        raise GcBarrierError(
            f"the collector {config.collector} marks while mutators run and needs a barrier that tracks, and "
            f"{config.barrier} does not: choose another barrier, or the collector stop-the-world"
        )
    collectors.params_of(config)
    programs.resolved(config)


def _check_stress(config: Config, *, own_memory: bool, watched: bool) -> None:
    if own_memory:
        raise GcBarrierError(
            f"the collector {config.collector} brings its own memory, in which nothing can be poisoned: choose others "
            "for a stressed run, with collector="
        )
    if watched and "thread" in build.sanitizers():
        raise GcBarrierError(
            f"what is compiled with ThreadSanitizer has one view of its memory, which {config.barrier} watches, and "
            "stress poisons what was freed through the collector's own: leave out one of the two, or choose another "
            "sanitizer"
        )
    if watched and config.memory not in TWO_VIEWS:
        raise GcBarrierError(
            f"stress poisons what was freed through the collector's own view, and {config.memory} memory has one view, "
            f"which {config.barrier} watches: choose {' or '.join(TWO_VIEWS)}"
        )


__all__ = ["check", "partner"]
