"""What mutators spin in stops is not taken for their program's."""

import re

import numpy as np
import pytest
from places import CHECKOUT
from synthetic import make_outcome, make_run

from gcbarrier.costs.awake import SPIN_NS, Awake, awake, spin_ns, spun_ns
from gcbarrier.model import Config, evolve
from gcbarrier.model.kinds import Kind

TWO = {"cpu": {"affinity": [0, 1]}}


def config(**more: object) -> Config:
    return Config(heap="graph_edits", barrier="none", collector="stop-the-world", **more)  # type: ignore[arg-type]


def test_it_spins_as_long_as_the_core_has_it() -> None:
    (told,) = re.findall(
        r"#define SPIN_NS UINT64_C\((\d+)\)", (CHECKOUT / "gcbarrier/native/world/threads.c").read_text()
    )
    assert int(told) == SPIN_NS


@pytest.mark.parametrize(
    ("mutators", "pin", "facts", "spins"),
    [
        (1, "", TWO, True),
        (2, "", TWO, False),
        (1, "apart", TWO, True),
        (1, "together", TWO, False),
        (1, "0/1", TWO, True),
        (2, "0/1", TWO, False),
        (1, "0/2", TWO, False),
        (1, "", {}, False),
        (1, "", {"cpu": {"affinity": None}}, False),
    ],
)
def test_it_spins_only_where_each_thread_can_have_a_processor(
    mutators: int, pin: str, facts: dict[str, object], spins: bool
) -> None:
    assert spin_ns(config(mutators=mutators, pin=pin), facts) == (SPIN_NS if spins else 0)


def test_of_each_stop_that_holds_one_no_more_is_left_out_than_it_spins() -> None:
    made = make_outcome(config(mutators=2), 0)
    stop, rearm = (
        evolve(made.pauses[0], kind=kind, start_ns=start_ns, pause_ns=9_000)
        for kind, start_ns in (("full", 0), ("rearm", 10_000))
    )
    outcome = evolve(made, pauses=(stop, rearm), mutator_cpu_ns=10_000, operations=10)
    events = np.array(
        [
            (100, 400, Kind.HELD, 1),
            (100, 5100, Kind.HELD, 2),
            (100, 5100, Kind.HELP, 2),
            # It gives its processor up.
            (10_100, 15_100, Kind.HELD, 1),
        ],
        dtype=[("start_ns", "u8"), ("end_ns", "u8"), ("kind", "u4"), ("thread", "u4")],
    )
    assert spun_ns(outcome, events, 1000) == 300 + 1000
    assert spun_ns(outcome, events[:0], 1000) == 0


def test_what_was_spun_is_no_time_of_the_program() -> None:
    made = evolve(make_outcome(config(), 0), mutator_cpu_ns=10_000, operations=10)
    assert Awake({id(made): 1300.0}).cpu_ns_per_operation(made) == 870
    assert Awake({}).cpu_ns_per_operation(made) == 1000
    assert np.isnan(Awake({}).cpu_ns_per_operation(evolve(made, operations=0)))


def test_a_run_without_events_has_it_in() -> None:
    outcome = make_outcome(config(), 0)
    run = make_run([outcome])
    assert awake(run, "native").cpu_ns_per_operation(outcome) == outcome.mutator_cpu_ns / outcome.operations
