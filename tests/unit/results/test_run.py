"""A run that is read: what comes out is what went in, and damage is one sentence."""

import json
import re
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_events, make_manifest, make_outcome, make_outcomes, write_run

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Cycle, Invocation, Measured, Outcome, Pause, Verification, evolve
from gcbarrier.results.run import FORMAT, Run, load, unite
from gcbarrier.results.writer import RunWriter

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")

counts = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)
params = st.dictionaries(texts, st.one_of(st.booleans(), counts, st.floats(allow_nan=False), texts), max_size=3)


def whole_numbers(cls: type) -> dict[str, st.SearchStrategy[int]]:
    """A strategy for each of a record's fields that is an int."""
    return {field.name: counts for field in attrs.fields(cls) if field.type is int}


records = st.builds(
    Outcome,
    invocation=st.builds(
        Invocation,
        config=st.builds(
            Config,
            heap=texts,
            barrier=texts,
            collector=texts,
            heap_params=params,
            memory=st.just("shmem"),
            heap_bytes=st.integers(1, 8192).map(lambda mib: mib << 20),
            mutators=st.integers(1, 64),
            duration_s=st.floats(0.001, 1e6),
        ),
        index=counts,
        seed=counts,
    ),
    machine=texts,
    error=texts,
    pauses=st.lists(
        st.builds(Pause, kind=texts, preempted=st.booleans(), **whole_numbers(Pause)),
        max_size=3,
    ).map(tuple),
    cycles=st.lists(
        st.builds(Cycle, **whole_numbers(Cycle), round_dirty=st.lists(counts, max_size=3).map(tuple)), max_size=2
    ).map(tuple),
    verification=st.none() | st.builds(Verification, **whole_numbers(Verification)),
    facts=params,
)


@settings(max_examples=40, deadline=None)
@given(outcomes=st.lists(records, max_size=3))
def test_outcomes_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, outcomes: list[Outcome]) -> None:
    target = tmp_path_factory.mktemp("runs") / "x"
    run = load(write_run(target, outcomes))
    assert list(run.outcomes) == outcomes
    assert run.experiment == "pause_times"


def test_events_are_kept_per_outcome_and_read_lazily(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "x", make_manifest()) as writer:
        writer.add(Measured(record=make_outcome(CONFIG, 0), events=make_events(5)))
        writer.add(Measured(record=make_outcome(CONFIG, 1, error="the process was killed by signal 11")))
        writer.add(Measured(record=make_outcome(CONFIG, 2), events=make_events(7)))
        writer.commit()
    run = load(tmp_path / "x")
    assert len(run.events(0)) == 5
    assert run.events(2)["t_ns"].tolist() == (np.arange(7) * 1000).tolist()
    with pytest.raises(GcBarrierError, match=r"outcome 1 .*no raw events: the process was killed"):
        run.events(1)
    (tmp_path / "x/events/0.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(GcBarrierError, match="can't be read as raw events"):
        run.events(0)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda run: (run / "manifest.json").unlink(), "it has no manifest.json"),
        (lambda run: (run / "manifest.json").write_text("{"), "can't be read"),
        (lambda run: (run / "manifest.json").write_text("[]"), "not the manifest of a run"),
        (lambda run: (run / "manifest.json").write_bytes(b"\xff\xfe"), "can't be read"),
        (
            lambda run: (run / "manifest.json").write_text(json.dumps({"format": FORMAT + 1, "experiment": "x"})),
            "written by a newer gcbarrier",
        ),
        (lambda run: (run / "outcomes.jsonl").unlink(), "can't be read"),
        (lambda run: (run / "outcomes.jsonl").write_text('{"machine": 1}\n'), "line 1: that is no Outcome record"),
    ],
)
def test_a_damaged_run_is_one_sentence(tmp_path: Path, spoil, sentence: str) -> None:
    target = write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])
    spoil(target)
    with pytest.raises(GcBarrierError, match=sentence):
        load(target)


@pytest.mark.parametrize("number", [1 << 63, 1 << 70, -(1 << 64)])
@pytest.mark.parametrize(
    ("field", "where"),
    [
        ("pause_ns", r"\$\.pauses\[0\]\.pause_ns"),
        ("wall_ns", r"\$\.wall_ns"),
        ("heap_bytes", r"\$\.invocation\.config\.heap_bytes"),
    ],
)
def test_a_number_beyond_64_bits_is_told_with_its_place(tmp_path: Path, number: int, field: str, where: str) -> None:
    target = write_run(tmp_path / "x", [make_outcome(CONFIG, index) for index in range(2)])
    first, second = (target / "outcomes.jsonl").read_text().splitlines()
    second = re.sub(rf'"{field}": \d+', f'"{field}": {number}', second, count=1)
    (target / "outcomes.jsonl").write_text(f"{first}\n{second}\n")
    with pytest.raises(GcBarrierError, match=rf"line 2: .*beyond the whole numbers of 64 bits @ {where}$"):
        load(target)


def test_numbers_of_64_bits_are_kept(tmp_path: Path) -> None:
    most, facts = (1 << 64) - 1, {"seed": (1 << 64) - 1, "huge": True, "x": 0.5}
    outcome = evolve(make_outcome(CONFIG, 0), checksum=most, wall_ns=(1 << 63) - 1, facts=facts)
    (found,) = load(write_run(tmp_path / "x", [outcome])).outcomes
    assert found == outcome
    assert {type(pause.preempted) for pause in found.pauses} == {bool}
    assert found.facts["huge"] is True
    spoilt = (tmp_path / "x" / "outcomes.jsonl").read_text().replace(str(most), str(most + 1))
    (tmp_path / "x" / "outcomes.jsonl").write_text(spoilt)
    with pytest.raises(GcBarrierError, match="beyond the whole numbers of 64 bits"):
        load(tmp_path / "x")


def test_no_directory_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match="there is no such directory"):
        load(tmp_path / "nowhere")


def test_a_union_keeps_invocations_apart(tmp_path: Path) -> None:
    one = load(write_run(tmp_path / "a", make_outcomes([CONFIG], invocations=2), make_events(1)))
    two = load(write_run(tmp_path / "b", make_outcomes([CONFIG], invocations=3), make_events(2)))
    both = unite([one, two])
    assert [outcome.invocation.index for outcome in both.outcomes] == [0, 1, 2, 3, 4]
    assert [len(both.events(index)) for index in range(5)] == [1, 1, 2, 2, 2]
    assert both.outcomes[2].pauses == two.outcomes[0].pauses


def test_a_union_of_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    one = load(write_run(tmp_path / "a", [make_outcome(CONFIG, 0)]))
    with pytest.raises(GcBarrierError, match="only runs of one experiment"):
        unite([one, evolve(one, manifest=make_manifest("other"))])


def test_machines_of_one_name_stay_apart_in_a_union(tmp_path: Path) -> None:
    def described(run: Run, **facts: object) -> Run:
        native = {**make_manifest()["machines"]["native"], **facts}
        plans = {"native": {"configs": [{}], "probes": [], "invocations": 2}}
        return evolve(run, manifest={**run.manifest, "machines": {"native": native}, "plans": plans})

    one, two, three = (
        load(write_run(tmp_path / name, make_outcomes([CONFIG], invocations=2))) for name in ("a", "b", "c")
    )
    other = {"kernel": {"release": "5.0"}, "host": "0123abcd"}
    united = unite([described(one, host="ffff0000"), described(two, **other), described(three, **other)])
    assert united.machines == ("native", "native@0123abcd")
    assert [len(united.on(name)) for name in united.machines] == [2, 4]
    assert united.facts("native@0123abcd")["kernel"] == {"release": "5.0"}
    assert united.facts("native")["kernel"] == {"release": "6.18.5"}
    assert united.expected_of("native@0123abcd", "configs") == 4, "each run's plan goes by the new name"
    assert len({(one.machine, one.invocation.index) for one in united.outcomes}) == 6
    alike = unite([described(one, host="ffff0000"), described(two, host="0123abcd")])
    assert alike.machines == ("native", "native@0123abcd"), "two machines of one model are two"


def test_blocks_over_machines_are_expected_once(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "a", [make_outcome(CONFIG, 0, machine="oak")]))
    plans = {name: {"configs": [{}, {}], "probes": [], "invocations": 5} for name in ("oak", "elm")}
    spread = evolve(run, manifest={**run.manifest, "plans": plans, "block_count": 5, "blocks": {"oak": [0, 2]}})
    assert spread.expected_of("oak", "configs") == 4
    assert spread.expected_of("elm", "configs") == 0
    assert spread.expected == 10
    everywhere = evolve(run, manifest={**run.manifest, "plans": plans})
    assert everywhere.expected == 20
