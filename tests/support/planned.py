"""Runs as experiments plan them, with what an invocation of each looks like: nothing is measured."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from synthetic import make_manifest, make_outcome, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import PHASES, Config, Cycle, Machine, OperationTimes, Outcome, SlowOperation, evolve
from gcbarrier.results.run import Run

NATIVE = Machine(name="native")
GUEST = Machine(name="lab-6.12.95-tcg", accelerator="tcg")
MACHINES = (NATIVE, Machine(name="lab", accelerator="kvm"), GUEST)


def planned(name: str, machine: Machine = NATIVE, *, quick: bool = True) -> Plan:
    plan: Plan = campaign.script_of(name).plan(machine=machine, quick=quick)
    return plan


def looks_measured(config: Config, index: int, machine: str = "native") -> Outcome:
    """An invocation with everything that these experiments look at."""
    outcome = make_outcome(config, index, machine=machine)
    pages = int(config.heap_params.get("pages", 40))
    pauses = tuple(evolve(pause, dirty_granules=pages) for pause in outcome.pauses)
    cycles = tuple(
        Cycle(
            cycle=cycle,
            cause="time",
            start_ns=0,
            duration_ns=1,
            rounds=2,
            marked_objects=1,
            mark_ns=1,
            live_bytes=1,
            round_dirty=(900, 100),
        )
        for cycle in sorted({pause.cycle for pause in pauses})
    )
    times: tuple[OperationTimes, ...] = ()
    if config.timed:
        phases = ("no cycle",) if config.collector == "never" else PHASES
        bounds = {"low_ns": (100, 2000, 50_000), "high_ns": (101, 2032, 50_688)}
        times = tuple(OperationTimes(phase=phase, counts=(90_000, 900, 3), **bounds) for phase in phases)
    slow = SlowOperation(
        mutator=0, start_ns=5, end_ns=60_000, operation_ns=50_000, phase=PHASES[-1], during=("arm",), blocked=True
    )
    return evolve(outcome, pauses=pauses, cycles=cycles, operation_times=times, slow_operations=(slow,) * config.timed)


def looks_run(name: str, machines: Iterable[Machine] = (NATIVE,), invocations: int = 2, **manifest: Any) -> Run:
    outcomes = [
        looks_measured(config, index, machine.name)
        for machine in machines
        for config in planned(name, machine).configs
        for index in range(invocations)
    ]
    return make_run(outcomes, {**make_manifest(name), "quick": True, **manifest})


def told(renderable: Any) -> str:
    console = Console(width=240, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()
