"""``--set``: what it changes, and what it says when it can't."""

import json

import pytest

from gcbarrier.campaign.plans import Plan, product
from gcbarrier.campaign.settings import Settings, read
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Probe, converter, evolve

GIB = 1 << 30
PLAN = Plan(
    configs=(
        Config(heap="graph_edits", barrier="none", collector="stop-the-world"),
        Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent"),
        Config(heap="graph_edits", barrier="soft-dirty", collector="mostly-concurrent"),
        Config(heap="gcbench", barrier="uffd-wp-async", collector="mostly-concurrent", heap_params={"min_depth": 5}),
    ),
    invocations=3,
)


def labels(plan: Plan) -> list[str]:
    return [config.label for config in plan.configs]


def test_nothing_set_changes_nothing() -> None:
    assert read([]).apply(PLAN) == PLAN


def test_names_take_the_place_of_the_plans_and_the_baseline_stays() -> None:
    assert labels(read(["barrier=uffd-wp-pagemap"]).apply(PLAN)) == [
        "graph_edits/none/stop-the-world",
        "graph_edits/uffd-wp-pagemap/mostly-concurrent",
        "gcbench/uffd-wp-pagemap/mostly-concurrent",
    ]
    assert labels(read(["heap=graph_edits"]).apply(PLAN)) == labels(PLAN)[:3]
    assert labels(read(["collector=stop-the-world", "barrier=uffd-wp-async"]).apply(PLAN)) == [
        "graph_edits/none/stop-the-world",
        "graph_edits/uffd-wp-async/stop-the-world",
        "gcbench/uffd-wp-async/stop-the-world",
    ]


def test_a_barrier_of_the_plan_keeps_the_collectors_that_the_plan_runs_over_it() -> None:
    pairs = [
        ("none", "stop-the-world"),
        ("satb", "snapshot-concurrent"),
        ("cards", "mostly-concurrent", {"rounds": 3}),
        ("cards", "mostly-concurrent", {"rounds": 4}),
    ]
    plan = Plan(configs=product(heap=("graph_edits", "gcbench"), pairs=pairs))
    chosen = read(["barrier=cards"]).apply(plan).configs
    assert chosen == tuple(config for config in plan.configs if config.barrier != "satb")
    assert read(["barrier=satb"]).apply(plan).configs == tuple(
        config for config in plan.configs if config.barrier != "cards"
    )
    with pytest.raises(GcBarrierError, match="snapshot-concurrent can't run over log"):
        read(["barrier=log"]).apply(plan)


def test_fields_and_parameters_reach_every_configuration_they_belong_to() -> None:
    plan = read(
        [
            *("heap_bytes=1GiB", "duration_s=3", "mutators=2", "invocations=7", "seed=9"),
            *("graph_edits.rate_per_s=1e4", "mostly-concurrent.rounds=2"),
        ]
    ).apply(PLAN, verify=True)
    assert {config.heap_bytes for config in plan.configs} == {GIB}
    assert {(config.duration_s, config.mutators, config.verify) for config in plan.configs} == {(3.0, 2, True)}
    assert plan.invocations == 7
    assert [dict(config.heap_params) for config in plan.configs] == [{"rate_per_s": 1e4}] * 3 + [{"min_depth": 5}]
    assert [dict(config.collector_params) for config in plan.configs] == [{}] + [{"rounds": 2}] * 3
    assert read(["seed=9"]).seed == 9


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("heap_bytes", "'heap_bytes' sets nothing: write KEY=VALUE"),
        ("heap_bites=1", "'heap_bites' can't be set; did you mean 'heap_bytes'"),
        ("heap_bytes=big", "'big' is not a size"),
        ("barrier=uffd-wp-asink", "no barrier is called 'uffd-wp-asink'; did you mean 'uffd-wp-async'"),
        ("heap=graph_edit", "no heap is called 'graph_edit'; did you mean 'graph_edits'"),
        ("graph_edit.rate_per_s=1", "no heap, barrier or collector is called 'graph_edit'; did you mean 'graph_edits'"),
        ("graph_edits.rate_per_sec=1", "no parameter 'rate_per_sec'; did you mean 'rate_per_s'"),
        ("mutators=two", "mutators=two: it takes a number"),
        ("mutators=1.5", "whole number"),
        ("invocations=0", "invocations=0: it takes a whole number from 1 to 10000"),
        ("mutators=1000", "mutators=1000: it takes a whole number from 1 to 64"),
        ("invocations=99999999999", "from 1 to 10000"),
        ("duration_s=0", "duration_s=0: it takes seconds, more than 0"),
        ("duration_s=inf", "duration_s=inf: it takes seconds"),
        ("duration_s=nan", "duration_s=nan: it takes seconds"),
        ("memory=shm", "memory=shm: did you mean 'shmem'"),
        ("machine=lap", "machine=lap: did you mean 'lab'"),
    ],
)
def test_a_mistake_is_found_when_it_is_read(pair: str, said: str) -> None:
    with pytest.raises(GcBarrierError, match=said):
        read([pair])


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("heap_bytes=1000", "heap_bytes"),
        ("heap_bytes=1500KiB", "heap_bytes must be a whole number of MiB"),
        ("barrier=none", "needs a barrier that tracks, and none does not"),
        ("graph_edits.move_share=2", "the heap graph_edits can't be run like that"),
        ("graph_edits.live_share=0.8", None),
        ("graph_edits.nodes=100000000", "a heap of at least"),
        ("mostly-concurrent.trigger=0", "the collector mostly-concurrent can't be run like that"),
        ("snapshot.graph=/no/such/file", "snapshot is not part of this plan"),
    ],
)
def test_a_plan_that_cannot_be_run_is_found_before_it_is(pair: str, said: str | None) -> None:
    settings = read([pair])
    if said is None:
        settings.apply(PLAN)
        return
    with pytest.raises(GcBarrierError, match=said):
        settings.apply(PLAN)


def test_a_heap_of_the_plan_keeps_the_plans_configurations() -> None:
    only = read(["heap=gcbench"]).apply(PLAN)
    assert [dict(config.heap_params) for config in only.configs] == [{"min_depth": 5}]
    other = read(["heap=snapshot", "heap_bytes=64MiB"]).apply(PLAN)
    assert labels(other) == [label.replace("graph_edits", "snapshot") for label in labels(PLAN)[:3]]


def test_a_heap_that_the_plan_has_in_spare_is_run_where_it_is_asked_for() -> None:
    own = tuple(evolve(config, heap="requests", duration_s=7.0) for config in PLAN.configs[:2])
    plan = evolve(PLAN, spare=own)
    assert read(["heap=requests"]).apply(plan) == evolve(plan, configs=own, spare=())
    assert read(["heap=requests,gcbench"]).apply(plan).configs == (*own, PLAN.configs[3])
    assert read([]).apply(plan).configs == PLAN.configs
    barely = read(["heap=requests", "barrier=uffd-wp-log"]).apply(plan).configs
    assert [(config.barrier, config.duration_s) for config in barely] == [("none", 7.0), ("uffd-wp-log", 7.0)]


def test_operations_are_timed_where_it_is_asked_for() -> None:
    assert [config.timed for config in read(["timed=true"]).apply(PLAN).configs] == [True] * len(PLAN.configs)
    chosen = read(["timed=true", "duration_s=1"])
    again = converter.structure(json.loads(json.dumps(converter.unstructure(chosen))), Settings)
    assert again.apply(PLAN) == chosen.apply(PLAN)
    with pytest.raises(GcBarrierError, match="timed=1: it takes true or false"):
        read(["timed=1"])


PROBED = Plan(
    probes=[
        Probe(function="f:f", barrier="none", arguments={"graph": name, "until_s": 0.0, "rounds": 3}) for name in "ab"
    ]
)


def test_arguments_of_probes_are_set_as_the_plan_has_them() -> None:
    plan = read(["probe.graph=007,x.npz", "probe.until_s=2"]).apply(PROBED)
    assert [dict(probe.arguments) for probe in plan.probes] == [
        {"graph": name, "until_s": 2.0, "rounds": 3} for name in ("007", "x.npz")
    ]
    assert all(type(probe.arguments["until_s"]) is float for probe in plan.probes)


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("probe.graphs=x", "no probe of this plan has an argument 'graphs': they have graph, rounds, until_s"),
        ("probe.rounds=many", "rounds"),
        ("probe.until_s=soon", "until_s"),
    ],
)
def test_an_argument_that_no_probe_can_have(pair: str, sentence: str) -> None:
    with pytest.raises(GcBarrierError, match=sentence):
        read([pair]).apply(PROBED)


def test_without_probes_there_is_nothing_of_theirs_to_set() -> None:
    with pytest.raises(GcBarrierError, match="no probe of this plan has an argument 'graph': there is nothing to set"):
        read(["probe.graph=x"]).apply(PLAN)
