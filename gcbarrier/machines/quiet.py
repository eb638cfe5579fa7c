"""What makes a machine restless, and what would mend it: settings that /sys and /proc tell of.

What a kernel or a virtual machine does not tell is left out: it can't be mended there. What other threads do just now
is measured (:mod:`gcbarrier.bench.quiet`).
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from attrs import frozen

from gcbarrier.machines.placement import listed, numbers
from gcbarrier.machines.temper import ROOT, groups

_CPUS = "sys/devices/system/cpu"
_THP = "sys/kernel/mm/transparent_hugepage"


@frozen(kw_only=True)
class Look:
    """One thing that was looked at."""

    what: str
    found: str
    why: str
    """It matters."""
    mend: str = ""
    """The command, or what else is to be done; "" where nothing is."""
    could: bool = False
    """It is as most machines are, and could still be better: advice, and nothing that is wrong."""

    @property
    def wrong(self) -> bool:
        """Whether it is to be mended."""
        return bool(self.mend) and not self.could


def looks(processors: Collection[int], root: Path = ROOT) -> Iterator[Look]:
    """All that this machine tells about these processors."""
    for each in (_governor, _turbo, _siblings, _isolated, _interrupts, _balancer, _huge_pages, _swap, _quota):
        yield from each(root, sorted(processors))


def _governor(root: Path, processors: list[int]) -> Iterator[Look]:
    told = {_text(root / _CPUS / f"cpu{each}/cpufreq/scaling_governor") for each in processors} - {""}
    if told:
        yield Look(
            what="governor",
            found=", ".join(sorted(told)),
            why="another one than performance lowers the clock of a processor that waits, and raises it too late",
            mend="" if told == {"performance"} else "sudo cpupower frequency-set -g performance",
        )


def _turbo(root: Path, _: list[int]) -> Iterator[Look]:
    ways = ((f"{_CPUS}/intel_pstate/no_turbo", "0", "1"), (f"{_CPUS}/cpufreq/boost", "1", "0"))
    for path, on, off in ways:
        if told := _text(root / path):
            yield Look(
                what="turbo",
                found="on" if told == on else "off",
                why="clocks above the nominal last as long as heat allows, and change with who else is busy",
                mend=f"echo {off} | sudo tee /{path}" if told == on else "",
            )
            return


def _siblings(root: Path, processors: list[int]) -> Iterator[Look]:
    shared = [each for each in processors if re.search("[,-]", _text(_topology(root, each)))]
    if _text(root / _CPUS / "smt/active") == "1" and shared:
        yield Look(
            what="hyper-threading",
            found=f"processors {listed(shared)} share cores",
            why="two threads on one core slow each other down, and the scheduler counts them as two processors",
            mend="echo off | sudo tee /sys/devices/system/cpu/smt/control, or --pin to one of each pair",
            could=True,
        )


def _topology(root: Path, processor: int) -> Path:
    return root / _CPUS / f"cpu{processor}/topology/thread_siblings_list"


def _isolated(root: Path, processors: list[int]) -> Iterator[Look]:
    isolated, tickless = _list(root / _CPUS / "isolated"), _list(root / _CPUS / "nohz_full")
    rest = processors[1:]
    advice = ""
    if not isolated and rest:
        some = listed(rest)
        pin = f"--pin {rest[0]}/{listed(rest[1:])}" if len(rest) > 1 else f"--pin {processors[0]}/{some}"
        boot = f"boot with isolcpus=managed_irq,domain,{some} nohz_full={some} rcu_nocbs={some}"
        # What is isolated is no longer among the processors that a process has of itself.
        advice = f"{boot}, and run with: taskset -c {listed(processors)} gcbarrier run {pin} ..."
    yield Look(
        what="isolated processors",
        found=f"{listed(isolated) or 'none'}, without ticks {listed(tickless) or 'none'}",
        why="elsewhere the scheduler puts anybody's threads, and a tick interrupts at every few milliseconds",
        mend=advice,
        could=True,
    )


def _interrupts(root: Path, processors: list[int]) -> Iterator[Look]:
    kept = set(_list(root / _CPUS / "isolated")) & set(processors)
    there = [
        path.parent.name
        for path in (root / "proc/irq").glob("*/smp_affinity_list")
        if kept & set(_list(path.with_name("effective_affinity_list")) or _list(path))
    ]
    if kept:
        others = listed([each for each in processors if each not in kept]) or "0"
        yield Look(
            what="interrupts",
            found=f"{len(there)} may come to the isolated processors",
            why="a device's interrupt takes a thread's processor for microseconds",
            mend=f"for i in {' '.join(sorted(there, key=int))}; do echo {others} | sudo tee "
            "/proc/irq/$i/smp_affinity_list; done"
            if there
            else "",
        )


def _balancer(root: Path, _: list[int]) -> Iterator[Look]:
    if "irqbalance" in {name for name, _ in users(root).values()}:
        yield Look(
            what="irqbalance",
            found="runs",
            why="it moves interrupts between processors every few seconds, onto those that are measured on as well",
            mend="sudo systemctl stop irqbalance",
        )


def _huge_pages(root: Path, _: list[int]) -> Iterator[Look]:
    enabled = _chosen(root / _THP / "enabled")
    if enabled:
        yield Look(
            what="transparent huge pages",
            found=enabled,
            why="with always the kernel collapses pages behind a program's back, and a fault may zero 2 MiB",
            mend=f"echo madvise | sudo tee /{_THP}/enabled" if enabled == "always" else "",
        )


def _swap(root: Path, _: list[int]) -> Iterator[Look]:
    text = _text(root / "proc/swaps")
    if text:
        on = [line.split() for line in text.splitlines()[1:]]
        used = sum(int(line[3]) for line in on if len(line) > 3) >> 10
        yield Look(
            what="swap",
            found=f"on, {used} MiB used" if on else "off",
            why="a page that was swapped out costs milliseconds, and a tracked one loses what it knew",
            mend="sudo swapoff -a" if on else "",
        )


def _quota(root: Path, _: list[int]) -> Iterator[Look]:
    quota, why = "", "a group that has used its time up stands still until the next period, for tens of milliseconds"
    mend = ""
    for folder in dict.fromkeys(groups(root)):
        limit = _text(folder / "cpu.max").split()
        old = _text(folder / "cpu.cfs_quota_us")
        if limit and limit[0].isdecimal():
            quota = f"{int(limit[0]) / int(limit[1]):.3g} processors"
            mend = "run outside of this control group, or echo max | sudo tee its cpu.max"
        elif old.isdecimal() and int(old) > 0:
            quota = f"{int(old) / int(_text(folder / 'cpu.cfs_period_us') or 100_000):.3g} processors"
            mend = "run outside of this control group, or echo -1 | sudo tee its cpu.cfs_quota_us"
    yield Look(what="control group", found=f"quota of {quota}" if quota else "no quota", why=why, mend=mend)


def users(root: Path = ROOT) -> dict[int, tuple[str, int]]:
    """Every process's name and the ticks that it has used, by its number."""
    found = {}
    try:
        folders = [name for name in os.listdir(root / "proc") if name.isdecimal()]
    except OSError:
        return {}
    for each in folders:
        # Names hold what they like; the last bracket is the field's end.
        head, bracket, rest = _text(root / "proc" / each / "stat").rpartition(")")
        fields = rest.split()
        if bracket and len(fields) > 12:
            found[int(each)] = (head.partition("(")[2], int(fields[11]) + int(fields[12]))
    return found


def _chosen(path: Path) -> str:
    found = re.search(r"\[(\w+)\]", _text(path))
    return found[1] if found else ""


def _list(path: Path) -> tuple[int, ...]:
    text = _text(path)
    return numbers(text) if re.fullmatch(r"[\d,-]+", text) else ()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


__all__ = ["Look", "looks", "users"]
