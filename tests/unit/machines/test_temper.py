"""The machine's temper, read from a /proc and a /sys that are made up."""

from pathlib import Path

import pytest
from made import made

from gcbarrier.machines import temper as machine
from gcbarrier.model import Ran

STAT = """cpu  9999 9999 9999 9999 0 0 0 0 0 0
cpu0 {user0} 5 10 1000 7 1 2 {steal0} 0 0
cpu1 {user1} 0 20 1000 0 0 3 4 0 0
cpu2 700 0 0 0 0 0 0 0 0 0
intr 1 2 3
procs_running {running}
procs_blocked 0
"""
TICK = machine.tick_ns()


def stat(**counts: int) -> str:
    return STAT.format(**{"user0": 100, "user1": 50, "steal0": 8, "running": 4, **counts})


def test_a_moment_is_of_the_processors_that_count(tmp_path: Path) -> None:
    made(tmp_path, {"proc/stat": stat(), "proc/pressure/cpu": "some avg10=0.00 avg60=1.00 total=77\nfull total=9\n"})
    both, one = machine.moment({0, 1}, tmp_path), machine.moment({1}, tmp_path)
    assert both.busy_ns == (100 + 5 + 10 + 50 + 20) * TICK
    assert both.interrupts_ns == (1 + 2 + 3) * TICK
    assert both.steal_ns == (8 + 4) * TICK
    assert (one.busy_ns, one.steal_ns) == (70 * TICK, 4 * TICK)
    assert both.runnable == 3, "who reads is not counted"
    assert both.pressure_ns == 77_000


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    moment, slow = machine.moment({0}, tmp_path), machine.slow({0}, tmp_path)
    assert {moment.busy_ns, moment.steal_ns, moment.interrupts_ns, moment.runnable, moment.pressure_ns} == {None}
    assert slow == machine.Slow()
    assert machine.slice_of(tmp_path) is None
    assert machine.threads(tmp_path) == {}
    record = machine.temper(slow, moment, machine.moment({0}, tmp_path), slow, processors=1)
    assert (record.others_ns, record.steal_ns, record.throttled, record.load) == (None, None, None, None)


def test_a_processor_that_the_kernel_does_not_list_tells_nothing(tmp_path: Path) -> None:
    made(tmp_path, {"proc/stat": stat()})
    assert machine.moment({7}, tmp_path).busy_ns is None


def test_others_are_what_the_process_itself_did_not_use() -> None:
    begun = machine.Moment(at_ns=0, own_ns=1000, busy_ns=0, steal_ns=5, interrupts_ns=0, pressure_ns=1)
    ended = machine.Moment(at_ns=900, own_ns=1300, busy_ns=800, steal_ns=25, interrupts_ns=7, pressure_ns=4)
    before, after = machine.Slow(load=1.5, throttled=2, throttled_ns=10), machine.Slow(throttled=5, throttled_ns=110)
    record = machine.temper(before, begun, ended, after, processors=2)
    assert (record.wall_ns, record.own_ns, record.others_ns) == (900, 300, 500)
    assert (record.steal_ns, record.interrupts_ns, record.pressure_ns) == (20, 7, 3)
    assert (record.throttled, record.throttled_ns, record.load) == (3, 100, 1.5)


def test_ticks_that_fall_short_of_the_process_leave_nothing_for_others() -> None:
    begun, ended = machine.Moment(at_ns=0, own_ns=0, busy_ns=0), machine.Moment(at_ns=1, own_ns=10, busy_ns=5)
    assert machine.temper(machine.Slow(), begun, ended, machine.Slow(), processors=1).others_ns == 0


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/a/b\n", {"sys/fs/cgroup/a/cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 40\n"}),
        (
            "5:cpu,cpuacct:/a\n0::/\n",
            {"sys/fs/cgroup/cpu,cpuacct/a/cpu.stat": "nr_throttled 3\nthrottled_time 40000\n"},
        ),
    ],
    ids=["version 2, a group above", "version 1"],
)
def test_a_quota_stops_a_group_of_either_version(groups: str, files: dict[str, str], tmp_path: Path) -> None:
    slow = machine.slow({0}, made(tmp_path, {"proc/self/cgroup": groups, **files}))
    assert (slow.throttled, slow.throttled_ns) == (3, 40_000)


def test_heat_and_clocks_are_of_the_processors_that_tell(tmp_path: Path) -> None:
    cpus = "sys/devices/system/cpu"
    files = {
        f"{cpus}/cpu0/thermal_throttle/core_throttle_count": "2\n",
        f"{cpus}/cpu1/thermal_throttle/core_throttle_count": "3\n",
        f"{cpus}/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
    }
    slow = machine.slow({0, 1}, made(tmp_path, files))
    assert (slow.thermal, slow.mhz) == (5, 2400.0)


def thread(*, waited: int, involuntary: int, migrations: int) -> dict[str, str]:
    rest = " ".join(str(number) for number in range(3, 53))
    return {
        "status": f"Name:\tgcb-marker-1\nvoluntary_ctxt_switches:\t4\nnonvoluntary_ctxt_switches:\t{involuntary}\n",
        "schedstat": f"1000 {waited} 9\n",
        "sched": f"gcb (1, #threads: 2)\nse.nr_migrations   :    {migrations}\nse.slice  :  1400000\n",
        "stat": f"12 (a) name) {rest}\n",
    }


def test_a_thread_tells_what_became_of_it(tmp_path: Path) -> None:
    for name, text in thread(waited=70, involuntary=3, migrations=2).items():
        made(tmp_path, {f"proc/self/task/12/{name}": text})
    first = machine.threads(tmp_path)
    for name, text in thread(waited=100, involuntary=5, migrations=2).items():
        made(tmp_path, {f"proc/self/task/12/{name}": text})
    (ran,) = machine.since(first, machine.threads(tmp_path))
    # stat's numbers are those of its fields.
    assert ran == Ran(name="gcb-marker-1", processor=39, waited_ns=30, involuntary=2, migrations=0)


def test_a_thread_that_slept_all_the_time_is_left_out() -> None:
    asleep = Ran(name="python", waited_ns=5, voluntary=7)
    assert list(machine.since({1: asleep}, {1: asleep})) == []
    assert [one.name for one in machine.since({}, {1: asleep})] == ["python"], "one that is new has run"


def test_the_slice_is_the_schedulers(tmp_path: Path) -> None:
    assert machine.slice_of(made(tmp_path, {"proc/self/sched": "x\nse.slice          :     2800000\n"})) == 2_800_000
