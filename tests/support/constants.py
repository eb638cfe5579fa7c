"""Constants of a machine that nobody measured, and recordings of programs that nobody ran."""

from typing import Any

import numpy as np

from gcbarrier.costs.constants import DRAWS, BarrierConstants, Constant, Constants, Linear, exactly
from gcbarrier.page_traces.records import PageTrace, Recording, Slowdown

FACTS = {
    "kernel": "6.18",
    "processor": "a processor",
    "stepping": "1/2/3",
    "huge pages": "",
    "version": "0",
    "measured": "some day",
}


def about(value: float, spread: float = 0.0) -> Constant:
    """A number that is off by so much of it, as a standard deviation."""
    luck = np.random.default_rng([1, int(value * 1000)]).standard_normal(DRAWS)
    return Constant(value=value, draws=tuple(np.maximum(value * (1 + spread * luck), 0.0)))


def linear(fixed: float, page: float, dirty: float, spread: float = 0.0) -> Linear:
    """A line that is right but for its coefficients."""
    return Linear(fixed=about(fixed, spread), page=about(page, spread), dirty=about(dirty, spread), misfit=exactly(1.0))


def barrier(name: str, *, spread: float = 0.0, **given: Any) -> BarrierConstants:
    """A page barrier, unless it has a ``store``."""
    software = "store" in given
    return BarrierConstants(
        name=name,
        software=software,
        granule_bytes=given.get("granule_bytes", 4096),
        store=about(given.get("store", 0.0), spread),
        first_store=about(given.get("first_store", 0.0), spread),
        arm=linear(0.0, given.get("arm_page", 0.0), given.get("arm_dirty", 0.0), spread),
        collect=linear(*given.get("collect", (0.0, 0.0, 0.0)), spread),
        last=linear(*given.get("last", given.get("collect", (0.0, 0.0, 0.0))), spread),
    )


def machine(*barriers: BarrierConstants, **given: Any) -> Constants:
    """One that has measured everything."""
    return Constants(
        facts=given.get("facts", FACTS),
        store=about(0.3),
        rescan_page=given.get("rescan_page", about(1000.0)),
        mark_page=given.get("mark_page", about(1500.0)),
        handshake=given.get("handshake", about(1000.0)),
        barriers=barriers,
    )


def usual(spread: float = 0.02) -> Constants:
    """A log, a scan, a signal handler and cards, at about what they cost."""
    return machine(
        barrier("uffd-wp-log", first_store=1500, arm_page=9, collect=(2000, 1.2, 44), last=(6, 0, 8), spread=spread),
        barrier("uffd-wp-async", first_store=1200, arm_page=45, collect=(1700, 1.4, 39), spread=spread),
        barrier("mprotect", first_store=5000, arm_page=600, collect=(200, 2.6, 23), spread=spread),
        barrier("cards", store=0.25, first_store=3, granule_bytes=512, collect=(30, 0.6, 8), spread=spread),
    )


def recorded(
    writes: list[Any],
    *,
    every_ns: int = 10_000_000,
    walls: tuple[int, ...] = (),
    apart: int = 0,
    **rest: Any,
) -> Recording:
    """A recording of these pages, tick by tick; ``walls``: how long it took unwatched and watched, in three
    repetitions that lie ``apart``."""
    slowdowns = [
        Slowdown(every_ns=at * every_ns, wall_ns=(wall - apart, wall, wall + apart), cpu_ns=(wall,) * 3)
        for at, wall in enumerate(walls)
    ]
    return Recording(
        command=("program",),
        every_ns=every_ns,
        tracker="uffd-wp-async",
        slowdowns=tuple(slowdowns),
        traces=(PageTrace.of(writes, every_ns=every_ns, **rest),),
    )
