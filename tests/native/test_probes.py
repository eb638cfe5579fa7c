"""Probes: what each brings back, by itself and in this process."""

from typing import Any

import pytest

from gcbarrier.bench import probes
from gcbarrier.bench.circumstances import CIRCUMSTANCES
from gcbarrier.model import Probe, Reading, evolve

MIB = 1 << 20


def probe(function: str, barrier: str, **arguments: Any) -> Probe:
    return Probe(function=f"gcbarrier.bench.{function}", barrier=barrier, heap_bytes=MIB, arguments=arguments)


def found(function: str, barrier: str, **arguments: Any) -> dict[tuple[str, float], Reading]:
    """What a probe reads, in this process."""
    finding = probes.run(probes.job(probe(function, barrier, **arguments), index=0))
    assert finding.error == ""
    return {(reading.what, reading.x): reading for reading in finding.readings}


def test_every_cost_is_there_and_every_collect_is_exact(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    for name in ("uffd-wp-async", "cards"):
        read = found("costs:operations", name, densities="1 10 100", budget_s=0.001)
        assert [what for what, _ in read] == ["first-store", "store", "arm", *["collect"] * 3]
        assert all(reading.value > 0 and reading.unit == "ns" for reading in read.values())
        assert all(reading.low <= reading.value <= reading.high for reading in read.values())
        notes = [reading.note for (what, _), reading in read.items() if what == "collect"]
        assert notes == ["3 of 3 pages", "26 of 26 pages", "256 of 256 pages"]
    assert set(found("costs:operations", "none", densities="1", budget_s=0.001)) == {("first-store", 0), ("store", 0)}


def test_rates_are_those_asked_for(needs) -> None:
    needs("async-uffd-wp")
    read = found("costs:store_rates", "uffd-wp-async", rates="1 10000", budget_s=0.001, most_stores=1 << 15)
    # A fault against ten thousand plain stores: three orders of magnitude, whatever else goes on.
    assert read["store", 1].value > read["store", 10000].value


def test_the_framework_is_measured_against_bare_calls_turn_by_turn(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("costs:framework", "uffd-wp-async", densities="0 100", budget_s=0.001)
    for what, share in (("arm", 0), ("first-store", 0), ("collect", 0), ("collect", 100)):
        counts = {read[prefix + what, share].samples for prefix in ("", "bare-", "added-")}
        assert len(counts) == 1, "each turn has both"
        assert read[f"added-{what}", share].unit == "%"
    other = probes.run(probes.job(probe("costs:framework", "none", densities="0", budget_s=0.001), index=0))
    assert "only uffd-wp-async" in other.error


def test_however_many_mark_they_reach_what_the_plain_loop_reaches() -> None:
    # The probe compares the counts, and fails where they differ.
    graph = evolve(probe("marker:marking", "none", markers="1 2 5", pages="100", rounds=3), heap_bytes=64 * MIB)
    finding = probes.run(probes.job(graph, index=0))
    assert finding.error == ""
    read = {(reading.what, reading.x): reading for reading in finding.readings}
    assert set(read) == {("plain", 0), ("rescan", 100), *((w, x) for w in ("marker", "quotient") for x in (1, 2, 5))}
    assert all(reading.samples == 3 and reading.low <= reading.value <= reading.high for reading in read.values())
    assert probes.run(probes.job(evolve(graph, arguments={**graph.arguments, "markers": "9"}), index=0)).error == (
        "1 to 8 markers can mark, not 9"
    )


def test_async_write_protection_is_exact_or_refuses(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("circumstances:accuracy", "uffd-wp-async")
    counts = {what: int(reading.value) for (what, _), reading in read.items()}
    assert {what.partition("/")[0] for what in counts} == set(CIRCUMSTANCES)
    for name in (
        "plain write",
        "neighbour merges",
        "MADV_DONTNEED",
        "fork",
        "read-only and back",
        "written by read(2)",
    ):
        assert (counts[f"{name}/false"], counts[f"{name}/lost"]) == (0, 0), name
        assert counts[f"{name}/reported"] == counts[f"{name}/expected"] > 0
    assert counts["another mapping writes/lost"] == 1
    refused = [reading.note for (what, _), reading in read.items() if what == "mremap moves it/refused"]
    assert refused == ["PAGEMAP_SCAN failed: Operation not permitted"]


def test_what_goes_wrong_in_a_probe_is_its_finding(needs) -> None:
    needs("async-uffd-wp")
    gone = probes.run(probes.job(probe("costs:nothing", "none"), index=3))
    assert (gone.error, gone.index) == ("there is no function nothing in gcbarrier.bench.costs", 3)
    with pytest.raises(ValueError, match="must match regex"):
        Probe(function="costs", barrier="none")
