"""What the machine is at, read from /proc and /sys: before an invocation, while it runs, and after it.

Nothing here judges (:mod:`gcbarrier.results.busy` does), and what a kernel or a guest does not tell is None. A reading
of :class:`Moment` takes some tens of microseconds and is what is taken right before and right after the measured part;
of :class:`Slow` it is some hundred or more: before the heap is built, and when all is over.
"""

import os
import re
import resource
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gcbarrier.model import Gaps, Ran, Temper

ROOT = Path("/")
# Asking a processor for its frequency has taken 10 ms on some kernels.
_CLOCKS_ASKED = 8


@frozen(kw_only=True)
class Moment:
    """Sums since the machine or the process began."""

    at_ns: int
    own_ns: int
    busy_ns: int | None = None
    interrupts_ns: int | None = None
    steal_ns: int | None = None
    runnable: int | None = None
    """Threads that run or want to, the one that reads not counted."""
    pressure_ns: int | None = None


@frozen(kw_only=True)
class Slow:
    """What is read while nothing is measured."""

    load: float | None = None
    runnable: int | None = None
    throttled: int | None = None
    throttled_ns: int | None = None
    thermal: int | None = None
    mhz: float | None = None


def moment(processors: Collection[int], root: Path = ROOT) -> Moment:
    """Now, of these processors."""
    text = _read(root / "proc/stat")
    parsed = _stat(text, processors)
    pressure = re.search(r"^some .*total=(\d+)", _read(root / "proc/pressure/cpu"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Moment(
        at_ns=time.monotonic_ns(),
        own_ns=time.process_time_ns() + int((children.ru_utime + children.ru_stime) * 1e9),
        runnable=_runnable(text),
        pressure_ns=int(pressure[1]) * 1000 if pressure else None,
        **parsed,
    )


def slow(processors: Collection[int], root: Path = ROOT) -> Slow:
    """Now, of these processors."""
    load = _read(root / "proc/loadavg").split()
    throttled, throttled_ns = _throttling(root)
    cpus = root / "sys/devices/system/cpu"
    counts = [_number(cpus / f"cpu{each}/thermal_throttle/core_throttle_count") for each in processors]
    asked = sorted(processors)[:_CLOCKS_ASKED]
    clocks = [_number(cpus / f"cpu{each}/cpufreq/scaling_cur_freq") for each in asked]
    told = [each for each in clocks if each is not None]
    return Slow(
        load=float(load[0]) if load else None,
        runnable=_runnable(_read(root / "proc/stat")),
        throttled=throttled,
        throttled_ns=throttled_ns,
        thermal=_sum(counts),
        mhz=sum(told) / len(told) / 1000 if told else None,
    )


def temper(
    before: Slow,
    begun: Moment,
    ended: Moment,
    after: Slow,
    *,
    processors: int,
    pinned: str = "",
    gaps: Gaps | None = None,
    ran: Sequence[Ran] = (),
    slice_ns: int | None = None,
) -> Temper:
    """The record, of what was read. ``begun`` and ``ended`` are right around the measured part."""
    own_ns, busy_ns = ended.own_ns - begun.own_ns, _since(begun.busy_ns, ended.busy_ns)
    return Temper(
        processors=processors,
        pinned=pinned,
        load=before.load,
        runnable_before=before.runnable,
        runnable_after=after.runnable,
        wall_ns=ended.at_ns - begun.at_ns,
        own_ns=own_ns,
        # Ticks are a sample, and may fall short of what the process knows exactly.
        others_ns=None if busy_ns is None else max(busy_ns - own_ns, 0),
        interrupts_ns=_since(begun.interrupts_ns, ended.interrupts_ns),
        steal_ns=_since(begun.steal_ns, ended.steal_ns),
        tick_ns=tick_ns(),
        pressure_ns=_since(begun.pressure_ns, ended.pressure_ns),
        throttled=_since(before.throttled, after.throttled),
        throttled_ns=_since(before.throttled_ns, after.throttled_ns),
        thermal=_since(before.thermal, after.thermal),
        mhz_before=before.mhz,
        mhz_after=after.mhz,
        slice_ns=slice_ns,
        gaps=gaps,
        ran=tuple(ran),
    )


def tick_ns() -> int:
    """What the kernel counts processor time in."""
    return 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def slice_of(root: Path = ROOT) -> int | None:
    """For how long the scheduler lets a thread like this one run before it is another's turn; in ns."""
    found = re.search(r"^se\.slice\s*:\s*(\d+)$", _read(root / "proc/self/sched"), re.MULTILINE)
    return int(found[1]) if found and int(found[1]) else None


def threads(root: Path = ROOT) -> dict[int, Ran]:
    """This process's threads by number, as they have run so far: the first is ``collector``, others tell their names.

    Ours are called ``gcb-marker-1`` and the like.
    """
    try:
        names = os.listdir(root / "proc/self/task")
    except OSError:
        return {}
    return {number: one for number in map(int, names) for one in _thread(number, root)}


def first_thread(root: Path = ROOT) -> dict[int, Ran]:
    """Of these the first alone, which is quicker."""
    return {os.getpid(): one for one in _thread(os.getpid(), root)}


def since(before: Mapping[int, Ran], now: Mapping[int, Ran]) -> Iterator[Ran]:
    """What became meanwhile of each thread that is there now; one that has not run at all is left out."""
    for number, one in now.items():
        first = before.get(number, Ran(name=one.name, waited_ns=0, migrations=0))
        ran = Ran(
            name=one.name,
            processor=one.processor,
            waited_ns=_since(first.waited_ns, one.waited_ns),
            voluntary=one.voluntary - first.voluntary,
            involuntary=one.involuntary - first.involuntary,
            migrations=_since(first.migrations, one.migrations),
        )
        if ran.voluntary or ran.involuntary or ran.waited_ns:
            yield ran


def _thread(number: int, root: Path) -> Iterator[Ran]:
    folder = root / f"proc/self/task/{number}"
    status, waited = _read(folder / "status"), _read(folder / "schedstat").split()
    if not status:
        return
    counted = dict(re.findall(r"^(\w+):\s*(.+)$", status, re.MULTILINE))
    migrations = re.search(r"nr_migrations\s*:\s*(\d+)", _read(folder / "sched"))
    last = _read(folder / "stat").rpartition(")")[2].split()
    yield Ran(
        name="collector" if number == os.getpid() else counted.get("Name", "?"),
        # The 39th field of stat, of which the first two are up to the bracket.
        processor=int(last[36]) if len(last) > 36 else None,
        waited_ns=int(waited[1]) if len(waited) > 1 else None,
        voluntary=int(counted.get("voluntary_ctxt_switches", 0)),
        involuntary=int(counted.get("nonvoluntary_ctxt_switches", 0)),
        migrations=int(migrations[1]) if migrations else None,
    )


def _stat(text: str, processors: Collection[int]) -> dict[str, int]:
    """Of /proc/stat; {} where it has no such processor."""
    sums = dict.fromkeys(("busy_ns", "interrupts_ns", "steal_ns"), 0)
    seen = 0
    for number, line in re.findall(r"^cpu(\d+) (.*)$", text, re.MULTILINE):
        ticks = [int(each) for each in line.split()]
        if int(number) not in processors or len(ticks) < 8:
            continue
        user, nice, system, _idle, _iowait, hard, soft, steal = ticks[:8]
        seen += 1
        sums["busy_ns"] += (user + nice + system) * tick_ns()
        sums["interrupts_ns"] += (hard + soft) * tick_ns()
        sums["steal_ns"] += steal * tick_ns()
    return sums if seen else {}


def _runnable(stat: str) -> int | None:
    found = re.search(r"^procs_running (\d+)$", stat, re.MULTILINE)
    return max(int(found[1]) - 1, 0) if found else None


def groups(root: Path = ROOT) -> Iterator[Path]:
    """The folders of this process's control group for processors and of those above it, of either version."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            tops = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
        elif "cpu" in controllers.split(","):
            tops = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")
        else:
            continue
        for top in (root / each for each in tops):
            own = top / path.lstrip("/")
            yield from (each for each in (own, *own.parents) if each.is_relative_to(top))


def _throttling(root: Path) -> tuple[int | None, int | None]:
    times, ns = [], []
    for folder in dict.fromkeys(groups(root)):
        told = dict(re.findall(r"^(\w+) (\d+)$", _read(folder / "cpu.stat"), re.MULTILINE))
        if "nr_throttled" in told:
            times.append(int(told["nr_throttled"]))
            ns.append(int(told.get("throttled_usec", 0)) * 1000 + int(told.get("throttled_time", 0)))
    return _sum(times), _sum(ns)


def _sum(counts: Iterable[int | None]) -> int | None:
    told = [each for each in counts if each is not None]
    return sum(told) if told else None


def _since(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


__all__ = [
    "Moment",
    "Slow",
    "first_thread",
    "groups",
    "moment",
    "since",
    "slice_of",
    "slow",
    "temper",
    "threads",
    "tick_ns",
]
