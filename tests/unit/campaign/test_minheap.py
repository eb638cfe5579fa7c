"""The smallest heap: bisection with a runner that is made up, and plans whose heaps are multiples of it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_outcome

from gcbarrier.campaign import minheap, runner
from gcbarrier.campaign.minheap import Minheap, Trial, program_of, search, sized
from gcbarrier.campaign.places import NATIVE, Place, largest_bytes
from gcbarrier.campaign.plans import Plan, product
from gcbarrier.campaign.settings import read
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Outcome, converter, evolve, from_json, to_json
from gcbarrier.session import program as programs

MIB = 1 << 20
CONFIG = Config(heap="graph_edits", barrier="none", collector="stop-the-world", heap_bytes=64 * MIB)


class Program:
    """Runs in heaps from so many MiB on; with the seeds that ``unlucky`` names, only from twice as many on."""

    def __init__(self, least_mib: int, unlucky: tuple[int, ...] = ()) -> None:
        self.least_mib, self.unlucky = least_mib, unlucky
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, config: Config, index: int, deadline_s: float) -> Outcome:
        assert deadline_s >= 0
        self.asked.append((config.heap_bytes // MIB, index, config.operations))
        least = self.least_mib * (2 if index in self.unlucky else 1)
        error = "" if config.heap_bytes >= least * MIB else "out of memory"
        return evolve(make_outcome(config, index, error=error, cycles=0), operations=5000)


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minheap, "monotonic", lambda: 0.0)


@settings(deadline=None)
@given(least=st.integers(1, 200), most=st.integers(1, 200))
def test_bisection_finds_the_smallest(least: int, most: int) -> None:
    config, program = evolve(CONFIG, heap_bytes=most * MIB), Program(least)
    if least > most:
        with pytest.raises(GcBarrierError, match=f"graph_edits does not run in {most} MiB"):
            search(config, program)
        return
    found = search(config, program)
    assert found.minheap_bytes == least * MIB
    assert len(found.trials) <= 2 + math.ceil(math.log2(most))
    assert (found.too_small is None) == (least == 1)
    if found.too_small is not None:
        assert found.too_small == Trial(heap_bytes=(least - 1) * MIB, error="out of memory")


def test_every_trial_does_what_the_first_run_did() -> None:
    program = Program(20)
    found = search(CONFIG, program)
    assert program.asked[0] == (64, 0, 0)
    assert {operations for _, _, operations in program.asked[1:]} == {5000}
    assert found.operations == 5000
    given_operations = Program(20)
    assert search(evolve(CONFIG, operations=7), given_operations).operations == 7
    assert {operations for _, _, operations in given_operations.asked} == {7}
    two = search(evolve(CONFIG, mutators=2), Program(20))
    assert two.operations == 2500, "each mutator's"


def test_all_attempts_must_end_well() -> None:
    assert search(CONFIG, Program(20, unlucky=(2,)), attempts=2).minheap_bytes == 20 * MIB
    assert search(CONFIG, Program(20, unlucky=(2,)), attempts=3).minheap_bytes == 40 * MIB
    with pytest.raises(GcBarrierError, match="graph_edits does not run in 64 MiB"):
        search(CONFIG, Program(40, unlucky=(2,)), attempts=3)


def test_a_run_that_does_nothing_but_collect_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(minheap, "monotonic", lambda: now)

    def slow(config: Config, index: int, deadline_s: float) -> Outcome:
        nonlocal now
        takes_s = 1.0 if config.heap_bytes >= 30 * MIB else 1000.0
        # Until it is killed, and a little more.
        now += min(takes_s, deadline_s + 0.01)
        error = "it ran over its deadline" if takes_s > deadline_s else ""
        return evolve(make_outcome(config, index, error=error), operations=5000)

    found = search(CONFIG, slow)
    assert found.minheap_bytes == 30 * MIB
    assert found.too_small is not None
    assert found.too_small.error == "it took more than 10 times as long as in 64 MiB"


def test_what_was_found_survives_the_manifest() -> None:
    found = search(CONFIG, Program(20))
    assert converter.structure(converter.unstructure(found), Minheap) == found
    assert from_json(to_json(found), Minheap) == found


@pytest.fixture
def place() -> Place:
    return Place(machine=NATIVE, executor=FreshExecutor())


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The programs whose smallest heap was looked for; it is 21 MiB for each."""
    programs_seen: list[Config] = []

    def find(config: Config, _place: Place, *, seed: int) -> Minheap:
        assert seed == 5
        programs_seen.append(config)
        return Minheap(config=config, operations=1, minheap_bytes=21 * MIB)

    monkeypatch.setattr(minheap, "find", find)
    return programs_seen


def test_multiples_become_bytes_once_for_each_program(place: Place, looked: list[Config]) -> None:
    plan = Plan(
        configs=(
            *product(
                heap=("graph_edits", "gcbench"),
                heap_bytes=64 * MIB,
                heap_times=(1.25, 2.0, 6.0),
                pairs=[("none", "stop-the-world", {"trigger": 0.9}), ("cards", "mostly-concurrent")],
            ),
            CONFIG,
        )
    )
    known: dict[str, Minheap] = {}
    found = sized(plan, place, known, seed=5)
    assert [config.heap for config in looked] == ["graph_edits", "gcbench"]
    assert {(config.barrier, config.collector, config.heap_times) for config in looked} == {
        ("none", "stop-the-world", 0.0)
    }
    assert [config.heap_bytes // MIB for config in found.configs] == [27, 27, 42, 42, 126, 126] * 2 + [64]
    assert [config.minheap_bytes // MIB for config in found.configs] == [21] * 12 + [0]
    assert found.configs[-1] == CONFIG
    again = sized(plan, place, known, seed=5)
    assert again == found
    assert len(looked) == len(known) == 2, "what is known is not looked for again"
    assert sized(found, place, {}, seed=5) == found, "nor what is in bytes already"
    with pytest.raises(GcBarrierError, match="times the smallest heap is, isn't known"):
        runner.steps(plan, seed=1, accelerator="native")


@pytest.mark.usefixtures("looked")
def test_the_program_is_the_same_in_each_multiple(place: Place) -> None:
    plan = Plan(configs=[evolve(CONFIG, heap_times=times, heap_params={"live_share": 0.3}) for times in (1, 2, 9)])
    one, two, nine = sized(plan, place, {}, seed=5).configs
    assert one.heap_bytes < two.heap_bytes < nine.heap_bytes
    assert programs.resolved(one) == programs.resolved(two) == programs.resolved(nine)
    assert programs.resolved(one) == programs.resolved(evolve(CONFIG, heap_params={"live_share": 0.3}))
    assert programs.fixed(two) == two


def test_a_multiple_of_huge_pages_is_a_whole_number_of_them(place: Place, looked: list[Config]) -> None:
    config = evolve(CONFIG, barrier="mprotect", collector="mostly-concurrent", heap_times=1.25, memory="hugetlb")
    (found,) = sized(Plan(configs=(config,)), place, {}, seed=5).configs
    assert found.heap_bytes == 28 * MIB
    assert looked[0].memory == "shmem"


def test_huge_pages_have_no_single_mebibytes(place: Place) -> None:
    with pytest.raises(GcBarrierError, match="huge pages have 2: set other memory"):
        minheap.find(evolve(CONFIG, memory="hugetlb"), place)


def test_a_guest_has_memory_for_the_largest_multiple() -> None:
    plan = Plan(configs=(evolve(CONFIG, heap_times=6.0),))
    assert largest_bytes(plan) == 6 * 64 * MIB
    known = evolve(CONFIG, heap_times=6.0, minheap_bytes=20 * MIB, heap_bytes=120 * MIB)
    assert largest_bytes(Plan(configs=(known,))) == 120 * MIB


def test_a_heap_below_what_check_allows_is_run_in_where_it_was_found_by_running() -> None:
    module = programs.heap_module("graph_edits")
    params = programs.fixed(CONFIG).heap_params
    tight = evolve(CONFIG, heap_params=params, heap_bytes=27 * MIB)
    with pytest.raises(GcBarrierError, match="more than nine tenths"):
        programs.resolved(tight)
    assert programs.resolved(evolve(tight, heap_times=1.0, minheap_bytes=27 * MIB)) == module.Params(**params)


def test_settings_take_multiples_beside_names() -> None:
    plan = Plan(configs=(CONFIG, evolve(CONFIG, heap="gcbench")))
    chosen = read(["heap=2x,1.5x,gcbench"]).apply(plan)
    assert [(one.heap, one.heap_times) for one in chosen.configs] == [("gcbench", 2.0), ("gcbench", 1.5)]
    assert [one.heap_times for one in read(["heap=3x"]).apply(plan).configs] == [3.0, 3.0]
    assert [one.heap_times for one in read(["heap=2x", "heap=gcbench"]).apply(plan).configs] == [2.0]
    assert read(["heap=3x"]).apply(chosen).configs == read(["heap=3x", "heap=gcbench"]).apply(plan).configs
    made_for = read(["heap=2x", "heap_bytes=32MiB"]).apply(plan).configs[0]
    assert (made_for.heap_times, made_for.heap_bytes) == (2.0, 32 * MIB)


@pytest.mark.parametrize("word", ["2", "64MiB", "0.5x", "0x", "1e9x", "x2", "nanx", "1x2x"])
def test_what_is_no_multiple_is_told(word: str) -> None:
    with pytest.raises(GcBarrierError, match=rf"heap='{word}': it takes|no heap is called"):
        read([f"heap={word}"])


def test_a_heap_that_is_called_like_a_size_is_a_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    from gcbarrier.plugins import discovery

    monkeypatch.setattr(discovery, "names", lambda _kind: ["2x"])
    monkeypatch.setattr(discovery, "find", lambda _kind, _name: None)
    chosen = read(["heap=2x,3x"])
    assert (chosen.choices, chosen.times) == ({"heap": ("2x",)}, (3.0,))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"heap_times": 0.5}, "from 1 to 1024"),
        ({"heap_times": float("nan")}, "from 1 to 1024"),
        ({"operations": -1}, "operations"),
        ({"operations": 1.5}, "operations must be a whole number"),
    ],
)
def test_a_configuration_refuses_what_is_none(fields: dict[str, float], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        evolve(CONFIG, **fields)


def test_a_configuration_says_what_its_size_is() -> None:
    assert CONFIG.size == "64 MiB"
    known = evolve(CONFIG, heap_times=1.25, minheap_bytes=20 * MIB, heap_bytes=25 * MIB)
    assert known.size == "25 MiB (1.25x)"


def test_programs_that_differ_in_what_they_compare_are_one() -> None:
    one = evolve(CONFIG, heap_times=2.0, barrier="cards", collector="mostly-concurrent", timed=True)
    assert program_of(one) == program_of(evolve(CONFIG, heap_times=4.0))
    assert program_of(one) != program_of(evolve(one, heap_params={"references": 5}))
