"""Machines that are up: this one, and the lab's guest."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import attrs
from attrs import field, frozen

from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.watching import Watch
from gcbarrier.core import build
from gcbarrier.machines import host, lab
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Machine, Probe

NATIVE = Machine(name="native")

_GUEST_SHARE = 1.08
_GUEST_BYTES = 768 << 20
_ORACLE_BYTES = 1 << 30


@frozen(kw_only=True)
class Place:
    """A machine that is up, and what goes on there."""

    machine: Machine
    executor: Executor
    about: dict[str, Any] = field(factory=dict)
    """What the machine can't say of itself."""

    @property
    def has_compiler(self) -> bool:
        """Whether what is compiled is there already."""
        return self.machine.name == host.machine_name()

    def manifest(self) -> dict[str, object]:
        """What the machine says of itself, and what is known of it."""
        return {**self.executor.submit(host.manifest, build.cflags()).result(), **self.about}


@contextlib.contextmanager
def this_machine() -> Iterator[Place]:
    """This machine, each job in a fresh process."""
    with FreshExecutor(environment=build.preload()) as executor:
        # Asked by another machine, it has the name that this one gave it.
        yield Place(machine=Machine(name=host.machine_name()), executor=executor)


@contextlib.contextmanager
def guest_for(plans: Sequence[Plan], watch: Watch) -> Iterator[Place]:
    """The lab's guest with memory for the largest heap of ``plans``; it counts instructions if they ask for that."""
    verify = any(config.verify for plan in plans for config in plan.configs)
    memory_bytes = int(largest_bytes(*plans) * _GUEST_SHARE) + _GUEST_BYTES + verify * _ORACLE_BYTES
    huge_bytes = max((_most_bytes(one) for plan in plans for one in plan.parts if one.memory == "hugetlb"), default=0)
    memory_bytes += huge_bytes
    counted = any(plan.counted for plan in plans)
    watch.note("booting the lab's guest")
    with lab.LabExecutor(memory_bytes=memory_bytes, huge_bytes=huge_bytes, icount=counted) as executor:
        guest = executor.facts
        machine = Machine(name=guest.name, accelerator=guest.accelerator)
        # The guest has neither compiler nor checkout: what it runs was made here.
        here = host.manifest(build.cflags())
        made_here = {name: here[name] for name in ("compiler", "packages", "gcbarrier")}
        yield Place(machine=machine, executor=executor, about={"lab": attrs.asdict(guest), **made_here})


def largest_bytes(*plans: Plan) -> int:
    """Of the heaps and of the memory that is probed."""
    return max(_most_bytes(one) for plan in plans for one in plan.parts)


def _most_bytes(one: Config | Probe) -> int:
    """Of its heap; where that is a multiple of the smallest, which is not known yet, it is no more than this."""
    waits = isinstance(one, Config) and one.heap_times and not one.minheap_bytes
    return math.ceil(one.heap_bytes * one.heap_times) if isinstance(one, Config) and waits else one.heap_bytes
