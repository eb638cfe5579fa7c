"""What would make a machine quieter, on machines that are made up."""

from pathlib import Path

import pytest
from made import made

from gcbarrier.bench.quiet import restless
from gcbarrier.machines.quiet import Look, looks
from gcbarrier.model import Gaps, Temper

CPUS = "sys/devices/system/cpu"
THP = "sys/kernel/mm/transparent_hugepage/enabled"
SWAPS = "Filename Type Size Used Priority\n"
QUIET = {
    f"{CPUS}/cpu0/cpufreq/scaling_governor": "performance\n",
    f"{CPUS}/cpu1/cpufreq/scaling_governor": "performance\n",
    f"{CPUS}/intel_pstate/no_turbo": "1\n",
    f"{CPUS}/isolated": "1\n",
    f"{CPUS}/nohz_full": "1\n",
    THP: "always [madvise] never\n",
    "proc/swaps": SWAPS,
    "proc/self/cgroup": "0::/a\n",
    "sys/fs/cgroup/a/cpu.max": "max 100000\n",
    "proc/9/stat": "9 (bash) S " + "1 " * 40,
}


def looked(root: Path, **changed: str) -> dict[str, Look]:
    return {look.what: look for look in looks({0, 1}, made(root, {**QUIET, **changed}))}


def test_a_quiet_machine_has_nothing_to_mend(tmp_path: Path) -> None:
    found = looked(tmp_path)
    assert [look for look in found.values() if look.mend] == []
    assert {"governor", "turbo", "isolated processors", "transparent huge pages", "swap", "control group"} <= set(found)


@pytest.mark.parametrize(
    ("file", "text", "what", "mend"),
    [
        (f"{CPUS}/cpu1/cpufreq/scaling_governor", "powersave\n", "governor", "cpupower frequency-set -g performance"),
        (f"{CPUS}/intel_pstate/no_turbo", "0\n", "turbo", f"echo 1 | sudo tee /{CPUS}/intel_pstate/no_turbo"),
        (THP, "[always] madvise never\n", "transparent huge pages", f"echo madvise | sudo tee /{THP}"),
        ("proc/swaps", f"{SWAPS}/dev/sda2 partition 999 2048 -2\n", "swap", "swapoff -a"),
        ("sys/fs/cgroup/a/cpu.max", "150000 100000\n", "control group", "cpu.max"),
        ("proc/9/stat", "9 (irqbalance) S " + "1 " * 40, "irqbalance", "systemctl stop irqbalance"),
    ],
)
def test_each_restlessness_is_named_with_what_mends_it(
    file: str, text: str, what: str, mend: str, tmp_path: Path
) -> None:
    look = looked(tmp_path, **{file: text})[what]
    assert look.wrong
    assert mend in look.mend
    assert look.why


def test_a_quota_above_counts_as_well(tmp_path: Path) -> None:
    found = looked(tmp_path, **{"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert found["control group"].found == "quota of 0.5 processors"


def test_processors_that_nobody_isolated_are_advice_and_no_fault(tmp_path: Path) -> None:
    look = looked(tmp_path, **{f"{CPUS}/isolated": "\n"})["isolated processors"]
    assert "isolcpus=managed_irq,domain,1 " in look.mend
    assert "--pin 0/1" in look.mend
    assert not look.wrong


def test_interrupts_on_isolated_processors_are_sent_elsewhere(tmp_path: Path) -> None:
    found = looked(tmp_path, **{"proc/irq/24/smp_affinity_list": "0-1\n", "proc/irq/30/smp_affinity_list": "0\n"})
    look = found["interrupts"]
    assert "for i in 24; do echo 0 |" in look.mend


def test_hyper_threads_are_named(tmp_path: Path) -> None:
    siblings = {f"{CPUS}/smt/active": "1\n", f"{CPUS}/cpu1/topology/thread_siblings_list": "1,5\n"}
    assert looked(tmp_path, **siblings)["hyper-threading"].found == "processors 1 share cores"


def test_what_a_machine_does_not_tell_is_left_out(tmp_path: Path) -> None:
    assert {look.what for look in looks({0, 1}, tmp_path)} == {"isolated processors", "control group"}


GAPS = Gaps(
    threads=2,
    wall_ns=2_000_000_000,
    turn_ns=20,
    least_ns=60,
    count=9,
    longest_ns=9000,
    p999_ns=8000,
    lost_share=0.3,
    short_share=0.01,
    preempted=3,
)


def test_others_beside_the_loop_are_named() -> None:
    busy = Temper(processors=2, wall_ns=2_000_000_000, others_ns=1_000_000_000, steal_ns=0, gaps=GAPS)
    others, hypervisor = restless(busy, ["make (77)"])
    assert others.wrong
    assert "make (77)" in others.mend
    assert others.found == "used 0.5 of 2 processors"
    assert not hypervisor.wrong


def test_the_machines_own_jobs_are_nothing_to_mend() -> None:
    calm = Temper(processors=2, wall_ns=2_000_000_000, others_ns=60_000_000, steal_ns=10_000_000, gaps=GAPS)
    assert [look.mend for look in restless(calm, ["rcu (1)"])] == ["", ""]


def test_a_hypervisor_that_takes_processors_away_is_named() -> None:
    stolen = Temper(processors=2, wall_ns=2_000_000_000, others_ns=0, steal_ns=400_000_000, gaps=GAPS)
    others, hypervisor = restless(stolen, [])
    assert (others.wrong, hypervisor.wrong) == (False, True)
    assert hypervisor.found == "took 0.2 of 2 processors"
