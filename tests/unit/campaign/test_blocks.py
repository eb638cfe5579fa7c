"""Blocks over machines: each once, each on one machine, and again where a machine is lost."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from attrs import define, field, frozen

from gcbarrier.campaign.blocks import Begun, Done, Loss, Stage, spread
from gcbarrier.campaign.runner import Step
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cluster.executor import MachineLost, SchedulerLost
from gcbarrier.model import Config, Invocation, Measured, Outcome

CONFIGS = tuple(Config(heap="ring", barrier=name, collector="any") for name in ("none", "cards"))


@frozen
class Job:
    """Says what was to be done."""

    invocation: Invocation
    label: str = "job"
    plugins: tuple[Any, ...] = ()

    def run(self) -> Measured:
        return Measured(record=Outcome(invocation=self.invocation, machine="nowhere"))

    def failed(self, machine: str, error: str) -> Measured:
        return Measured(record=Outcome(invocation=self.invocation, machine=machine, error=error))


@define(eq=False)
class Machine(Executor):
    """Does what it is told when it is told to; ``breaks`` says at which of its jobs, and how."""

    name: str
    breaks: dict[int, Exception] = field(factory=dict)
    did: list[tuple[str, int]] = field(factory=list)
    taken: int = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:  # noqa: ARG002
        future: Future[Any] = Future()
        problem = self.breaks.get(self.taken)
        self.taken += 1
        if problem is not None:
            future.set_exception(problem)
        else:
            invocation = args[0].invocation
            self.did.append((invocation.config.barrier, invocation.index))
            future.set_result(Measured(record=Outcome(invocation=invocation, machine=self.name)))
        return future


def stage(machine: Machine, blocks: int = 4, begun: frozenset[int] = frozenset()) -> Stage:
    def steps(index: int) -> Iterator[Step]:
        for config in CONFIGS:
            yield Step(job=Job(Invocation(config=config, index=index, seed=index)), estimate_s=1, deadline_s=60)

    return Stage(
        name=machine.name,
        executor=machine,
        blocks={index: tuple(steps(index)) for index in range(blocks)},
        begun=begun,
    )


def records(events: list[Any]) -> list[tuple[str, str, int, str]]:
    found = [event.measured.record for event in events if isinstance(event, Done)]
    return [(one.machine, one.invocation.config.barrier, one.invocation.index, one.error) for one in found]


def test_every_block_is_done_once_and_by_one_machine() -> None:
    machines = [Machine(name) for name in ("oak", "elm", "ash")]
    events = list(spread([stage(machine) for machine in machines]))
    done = records(events)
    assert Counter((barrier, index) for _, barrier, index, _ in done) == Counter(
        (config.barrier, index) for config in CONFIGS for index in range(4)
    )
    whose = {index: {machine for machine, _, other, _ in done if other == index} for index in range(4)}
    assert all(len(names) == 1 for names in whose.values())
    assert {machine for machine, *_ in done} == {"oak", "elm", "ash"}, "who is free takes the next"
    assert {(event.machine, event.block) for event in events if isinstance(event, Begun)} == {
        (name, index) for index, (name,) in whose.items()
    }


def test_everywhere_each_machine_does_all_of_it() -> None:
    machines = [Machine(name) for name in ("oak", "elm")]
    done = records(list(spread([stage(machine, blocks=2) for machine in machines], everywhere=True)))
    assert Counter(machine for machine, *_ in done) == {"oak": 4, "elm": 4}
    assert sorted(machines[0].did) == sorted(machines[1].did)


def test_the_block_of_a_lost_machine_is_done_again_and_what_it_finished_stays() -> None:
    # The second invocation of its first block never comes back.
    oak, elm = Machine("oak", breaks={1: MachineLost("gone")}), Machine("elm")
    events = list(spread([stage(oak), stage(elm)]))
    (loss,) = [event for event in events if isinstance(event, Loss)]
    assert loss == Loss(machine="oak", block=0, finished=1)
    assert str(loss) == "oak was lost in block 0 after 1 of its invocations, which stay"
    done = records(events)
    assert [one for one in done if one[0] == "oak"] == [("oak", "none", 0, "")]
    assert sorted(elm.did) == sorted((config.barrier, index) for config in CONFIGS for index in range(4))
    assert oak.taken == 2, "a machine that is gone is asked no more"


def test_an_invocation_that_fails_is_a_record_and_loses_nothing() -> None:
    oak = Machine("oak", breaks={1: GcBarrierError("the invocation's process crashed (SIGSEGV)")})
    done = records(list(spread([stage(oak, blocks=2)])))
    assert len(done) == 4
    assert [error for *_, error in done if error] == ["the invocation's process crashed (SIGSEGV)"]


@pytest.mark.parametrize("everywhere", [False, True])
def test_with_no_machine_left_it_says_what_is_left(everywhere: bool) -> None:
    oak = Machine("oak", breaks={2: MachineLost("gone")})
    found: list[Any] = []
    with pytest.raises(GcBarrierError, match=r"no machine is left for 3 of the plan's blocks.*--resume"):
        found.extend(spread([stage(oak)], everywhere=everywhere))
    assert len(records(found)) == 2, "what was finished has been handed over"


def test_everywhere_the_others_finish_before_a_loss_ends_it() -> None:
    oak, elm = Machine("oak", breaks={0: MachineLost("gone")}), Machine("elm")
    found: list[Any] = []
    with pytest.raises(GcBarrierError, match="no machine is left for 2 of"):
        found.extend(spread([stage(oak, blocks=2), stage(elm, blocks=2)], everywhere=True))
    assert Counter(machine for machine, *_ in records(found)) == {"elm": 4}


def test_without_a_scheduler_nothing_goes_on() -> None:
    oak, elm = Machine("oak", breaks={0: SchedulerLost("gone")}), Machine("elm")
    with pytest.raises(SchedulerLost):
        list(spread([stage(oak), stage(elm)]))


def test_a_block_that_was_begun_goes_on_where_it_was() -> None:
    oak, elm = Machine("oak"), Machine("elm")
    list(spread([stage(oak), stage(elm, begun=frozenset({0}))]))
    assert {index for _, index in elm.did} >= {0}
    assert 0 not in {index for _, index in oak.did}


def test_everywhere_what_one_has_begun_is_still_the_others_too() -> None:
    machines = [Machine("oak"), Machine("elm")]
    stages = [stage(machines[0], blocks=1, begun=frozenset({0})), stage(machines[1], blocks=1)]
    assert Counter(machine for machine, *_ in records(list(spread(stages, everywhere=True)))) == {"oak": 2, "elm": 2}


def test_a_block_that_was_begun_is_done_elsewhere_when_its_machine_is_lost() -> None:
    oak, elm = Machine("oak"), Machine("elm", breaks={0: MachineLost("gone")})
    list(spread([stage(oak), stage(elm, begun=frozenset({3}))]))
    assert {index for _, index in oak.did} == {0, 1, 2, 3}
