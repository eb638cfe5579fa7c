"""What mutators spin in stops is not taken for their program's."""

import re

import pytest
from places import CHECKOUT
from synthetic import make_outcome

from gcbarrier.costs.awake import SPIN_NS, awake_cpu_ns, awake_cpu_ns_per_operation, spin_ns
from gcbarrier.model import Config, evolve

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
    [(1, "", TWO, True), (2, "", TWO, False), (1, "apart", TWO, True), (1, "together", TWO, False), (1, "", {}, False)],
)
def test_it_spins_only_where_each_thread_can_have_a_processor(
    mutators: int, pin: str, facts: dict[str, object], spins: bool
) -> None:
    assert spin_ns(config(mutators=mutators, pin=pin), facts) == (SPIN_NS if spins else 0)


def test_of_each_stop_no_more_is_left_out_than_a_mutator_spins() -> None:
    made = make_outcome(config(mutators=2), 0)
    short, long = (evolve(made.pauses[0], pause_ns=pause_ns) for pause_ns in (300, 5000))
    outcome = evolve(made, pauses=(short, long), mutator_cpu_ns=10_000, operations=10)
    assert awake_cpu_ns(outcome, 0) == 10_000
    assert awake_cpu_ns(outcome, 1000) == 10_000 - 2 * (300 + 1000)
    assert awake_cpu_ns_per_operation(outcome, 1000) == 740
    assert awake_cpu_ns(outcome, 1_000_000) == 0
