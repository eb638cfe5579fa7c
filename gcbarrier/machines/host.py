"""What this machine is: the provenance manifest, and whether a heap fits into its memory.

Everything is read or measured when asked for; what can't be read is ``"unknown"``, never left out. No absolute path and
no user name goes into a manifest: it travels with the results.
"""

import datetime
import gzip
import importlib.metadata
import itertools
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.identity import host_id
from gcbarrier.model import format_bytes

UNKNOWN = "unknown"
HUGE_BYTES = 2 << 20
METADATA_SHARE = 0.04
"""Of the heap, at most: bitmaps, the table of blocks, what the marker has yet to visit."""

KERNEL_OPTIONS = (
    "CONFIG_MEM_SOFT_DIRTY",
    "CONFIG_USERFAULTFD",
    "CONFIG_HAVE_ARCH_USERFAULTFD_WP",
    "CONFIG_PTE_MARKER_UFFD_WP",
    "CONFIG_PERF_EVENTS",
    "CONFIG_PREEMPT_NONE",
    "CONFIG_PREEMPT_VOLUNTARY",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_LAZY",
    "CONFIG_PREEMPT_RT",
    "CONFIG_PREEMPT_DYNAMIC",
    "CONFIG_HZ",
    "CONFIG_NO_HZ_FULL",
    "CONFIG_TRANSPARENT_HUGEPAGE",
    "CONFIG_TRANSPARENT_HUGEPAGE_ALWAYS",
    "CONFIG_TRANSPARENT_HUGEPAGE_MADVISE",
)
SYSCTLS = (
    "vm.unprivileged_userfaultfd",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.swappiness",
    "kernel.perf_event_paranoid",
    "kernel.perf_event_mlock_kb",
    "kernel.randomize_va_space",
)

_HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB"
_CHECKOUT = Path(__file__).resolve().parents[2]


def manifest(cflags: Sequence[str] = ()) -> dict[str, object]:
    """Everything about this machine and this software that a result may depend on, ready for JSON.

    Sizes are bytes and times nanoseconds; ``cflags`` are what the C was compiled with. Takes some tens of milliseconds:
    the clock is measured, git and the compiler are asked.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine_name(),
        "host": host_id() or UNKNOWN,
        "accelerator": os.environ.get("GCBARRIER_ACCELERATOR", "native"),
        "hypervisor": _hypervisor(),
        "kernel": {"release": platform.release(), "version": platform.version(), "config": kernel_config()},
        "cpu": _cpu(),
        "memory": _memory(),
        "thp": {name: _chosen(f"/sys/kernel/mm/transparent_hugepage/{name}") for name in _THP_SETTINGS},
        "sysctl": {name: _read("/proc/sys/" + name.replace(".", "/")) for name in SYSCTLS},
        "rlimit_memlock": _limit(resource.RLIMIT_MEMLOCK),
        "uid": os.geteuid(),
        "privileged": os.geteuid() == 0,
        "load_average": list(os.getloadavg()),
        "clock": _clock(),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "packages": _packages(),
        "compiler": _compiler(cflags),
        "gcbarrier": {"version": gcbarrier_version(), **_revision()},
    }


def machine_name() -> str:
    """What results call this machine: ``native``, or what a guest was told by ``GCBARRIER_MACHINE``."""
    return os.environ.get("GCBARRIER_MACHINE", "native")


def fits(heap_bytes: int, memory: str = "shmem", *, copied: bool = False) -> None:
    """Raises GcBarrierError where a heap of this size and its metadata don't fit into the memory that is available.

    ``memory`` is of :data:`gcbarrier.model.MEMORY_TYPES`; with ``copied`` a second copy of every page must fit as well,
    which is what a forked child may cost.
    """
    ordinary = heap_bytes * (1 + copied)
    if memory == "hugetlb":
        _huge_pages_fit(heap_bytes)
        ordinary = 0
    needed = math.ceil(ordinary + heap_bytes * METADATA_SHARE)
    available = available_bytes()
    if needed > available:
        twice = "two copies of its pages and " if copied else ""
        raise GcBarrierError(
            f"a heap of {format_bytes(heap_bytes)} needs {format_bytes(needed)} with {twice}its metadata, and "
            f"{format_bytes(available)} of memory is available: choose a smaller heap or free some memory"
        )


def available_bytes() -> int:
    """What can be allocated without swapping, a control group's limit included."""
    return min([_meminfo()["MemAvailable"], *_control_group_limits()])


def free_huge_pages() -> int:
    """Huge pages of 2 MiB that nobody uses or has been promised; 0 where there is no pool of them."""
    counts = [_read(f"{_HUGE_PAGES}/{name}") for name in ("free_hugepages", "resv_hugepages")]
    free, promised = (int(count) if count.isdecimal() else 0 for count in counts)
    return free - promised


def _huge_pages_fit(heap_bytes: int) -> None:
    if heap_bytes % HUGE_BYTES:
        raise GcBarrierError(
            f"a heap in hugetlb memory is a whole number of 2 MiB pages, not {format_bytes(heap_bytes)}: "
            "choose another size"
        )
    needed, free = heap_bytes // HUGE_BYTES, free_huge_pages()
    if needed > free:
        pool = _read(f"{_HUGE_PAGES}/nr_hugepages")
        more = needed - free + (int(pool) if pool.isdecimal() else 0)
        raise GcBarrierError(
            f"a heap of {format_bytes(heap_bytes)} in hugetlb memory needs {needed} huge pages of 2 MiB, and {free} "
            f"are free: have root run `sysctl vm.nr_hugepages={more}`, or choose other memory"
        )


def gcbarrier_version() -> str:
    """The version that is running; ``unknown`` where neither the installation nor the checkout tells."""
    try:
        return importlib.metadata.version("gcbarrier")
    except importlib.metadata.PackageNotFoundError:
        return str(_project().get("version", UNKNOWN))


def kernel_config() -> dict[str, str]:
    """:data:`KERNEL_OPTIONS` as the running kernel was built: ``y``, ``m``, ``n``, a value, or ``unknown``."""
    text = _kernel_config_text()
    if text is None:
        return dict.fromkeys(KERNEL_OPTIONS, UNKNOWN)
    built = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE))
    return {name: built.get(name, "n").strip('"') for name in KERNEL_OPTIONS}


_THP_SETTINGS = ("enabled", "shmem_enabled", "defrag", "khugepaged/defrag")


def _kernel_config_text() -> str | None:
    release = platform.release()
    for place in ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        try:
            content = Path(place).read_bytes()
            return (gzip.decompress(content) if place.endswith(".gz") else content).decode()
        except OSError:
            continue
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return UNKNOWN


def _chosen(path: str) -> str:
    """The word in brackets of ``always [madvise] never``."""
    text = _read(path)
    bracketed = re.search(r"\[(\w+)\]", text)
    return bracketed[1] if bracketed else text


def _cpu() -> dict[str, object]:
    model = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return {
        "model": model[1] if model else UNKNOWN,
        "stepping": _stepping(),
        "architecture": platform.machine(),
        "online": _read("/sys/devices/system/cpu/online"),
        "affinity": sorted(os.sched_getaffinity(0)),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clocksource": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }


def _stepping() -> str:
    """Family, model and stepping, as ``25/1/1``: of one name there are several processors."""
    told = _read("/proc/cpuinfo")
    numbers = [re.search(rf"^{key}\s*:\s*(\d+)$", told, re.MULTILINE) for key in ("cpu family", "model", "stepping")]
    found = [number[1] for number in numbers if number]
    return "/".join(found) if found else UNKNOWN


def _hypervisor() -> str:
    """``none``, the maker's name for the virtual machine, or ``unknown kind`` where only the processor tells."""
    flagged = re.search(r"^flags\s*:.*\bhypervisor\b", _read("/proc/cpuinfo"), re.MULTILINE) is not None
    named = [_read(f"/sys/class/dmi/id/{field}") for field in ("sys_vendor", "product_name")]
    told = " ".join(name for name in named if name not in (UNKNOWN, ""))
    if flagged:
        return told or "unknown kind"
    # Emulators and some architectures set no flag; the firmware's own name still gives them away.
    return told if re.search(r"QEMU|KVM|VMware|VirtualBox|Virtual Machine|Xen", told) else "none"


def _memory() -> dict[str, int]:
    info = _meminfo()
    return {
        "total": info["MemTotal"],
        "available": available_bytes(),
        "swap_total": info["SwapTotal"],
        "swap_free": info["SwapFree"],
    }


def _meminfo() -> dict[str, int]:
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return {name: int(kilobytes) << 10 for name, kilobytes in lines}


def _control_group_limits() -> list[int]:
    """The limits of this process's control group (version 2) and of those above it."""
    own = re.search(r"^0::/(.*)$", _read("/proc/self/cgroup"), re.MULTILINE)
    top = Path("/sys/fs/cgroup")
    groups = [top / own[1], *(top / own[1]).parents] if own else []
    limits = [_read(str(group / "memory.max")) for group in groups if group.is_relative_to(top)]
    return [int(limit) for limit in limits if limit.isdecimal()]


def _limit(which: int) -> int | str:
    soft, _hard = resource.getrlimit(which)
    return "unlimited" if soft == resource.RLIM_INFINITY else soft


def _clock() -> dict[str, float]:
    """CLOCK_MONOTONIC as it behaves here; ``read_ns`` includes the call from Python."""
    batch = 100
    costs, steps = [], []
    for _ in range(100):
        stamps = [time.monotonic_ns() for _ in range(batch)]
        costs.append((stamps[-1] - stamps[0]) / (batch - 1))
        steps += [later - earlier for earlier, later in itertools.pairwise(stamps)]
    # A coarse clock moves in whole multiples of its step, whatever the kernel says its resolution is.
    return {"resolution_ns": math.gcd(*steps), "read_ns": round(statistics.median(costs), 1)}


def _packages() -> dict[str, str]:
    try:
        required = importlib.metadata.requires("gcbarrier") or []
    except importlib.metadata.PackageNotFoundError:
        required = _project().get("dependencies", [])
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    return {name: _package_version(name) for name in sorted(names)}


def _package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _project() -> dict[str, list[str]]:
    """The checkout's project table; empty in an installation without one."""
    try:
        project: dict[str, list[str]] = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))[
            "project"
        ]
    except OSError:
        return {}
    return project


def _compiler(cflags: Sequence[str]) -> dict[str, object]:
    command = os.environ.get("CC", "cc").split() or ["cc"]
    version = (_output([*command, "--version"]) or UNKNOWN).partition("\n")[0]
    return {"version": version, "flags": list(cflags)}


def _revision() -> dict[str, object]:
    """The checkout's git commit, and whether anything in it differs from that commit."""
    git = ["git", "--no-optional-locks", "-C", str(_CHECKOUT)]
    if not (_CHECKOUT / ".git").exists():
        return {"revision": UNKNOWN, "dirty": UNKNOWN}
    revision, changes = _output([*git, "rev-parse", "HEAD"]), _output([*git, "status", "--porcelain"])
    return {"revision": revision or UNKNOWN, "dirty": UNKNOWN if changes is None else changes != ""}


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
