"""The figure that shows how a claim came out on each machine, and when there is one."""

import io
from collections.abc import Sequence
from typing import Any

from attrs import evolve
from drawn import keys, lines, rated, said
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from synthetic import make_manifest, make_outcomes, make_run

from gcbarrier.model import Config, Outcome
from gcbarrier.report import machines_figure, machines_table
from gcbarrier.results.across import bill, hosts, shared, throughput
from gcbarrier.results.run import Run

CONFIGS = (rated("none", collector="stop-the-world"), rated("cards"), rated("uffd-wp-async"))


def slower(outcome: Outcome, times: float) -> Outcome:
    """The same, but a barrier costs so much."""
    plain = outcome.invocation.config.barrier == "none"
    return evolve(outcome, wall_ns=1_000_000_000, operations=int(1e6 if plain else 1e6 / times))


def on(machines: dict[str, float], configs: Sequence[Config] = CONFIGS, **facts: dict[str, Any]) -> Run:
    """A run on machines on which barriers slow mutators down so much."""
    outcomes = [
        slower(outcome, times)
        for name, times in machines.items()
        for outcome in make_outcomes(configs, invocations=2, machine=name)
    ]
    native = make_manifest()["machines"]["native"]
    described = {name: {**native, **facts.get(name, {})} for name in machines}
    return make_run(outcomes, {"experiment": "x", "machines": described})


def drawn(run: Run) -> Figure:
    figure = machines_figure(run)
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    return figure


def test_ratios_are_within_each_machine_and_the_spread_is_over_machines() -> None:
    run = on({"oak": 1.25, "elm": 2.0, "ash": 1.6})
    found = {one.config.barrier: one for one in shared(run)}
    assert set(found) == {"cards", "uffd-wp-async"}, "a baseline is no row of its own"
    over = found["cards"].over(throughput)
    assert (round(over.low, 3), round(over.high, 3), len(over.each)) == (0.5, 0.8, 3)
    assert round(over.centre, 3) == round((0.5 * 0.8 * 0.625) ** (1 / 3), 3)
    assert {name: round(value.centre, 3) for name, value in found["cards"].each(throughput).items()} == {
        "oak": 0.8, "elm": 0.5, "ash": 0.625,
    }  # fmt: skip
    assert found["cards"].each(bill).keys() == {"oak", "elm", "ash"}


def test_rows_that_differ_in_a_parameter_are_called_differently() -> None:
    swept = [evolve(CONFIGS[1], collector_params={"rounds": rounds}) for rounds in (0, 4)]
    figure = drawn(on({"oak": 1.25, "elm": 2.0}, [CONFIGS[0], *swept, CONFIGS[2]]))
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["cards, rounds 0", "cards, rounds 4", "uffd-wp-async, rounds default"]


def test_a_dot_for_each_machine_and_words_for_what_bars_are() -> None:
    figure = drawn(on({"oak": 1.25, "elm": 2.0, "ash": 1.6}))
    (axes,) = [axes for axes in figure.axes if str(axes.get_label()).startswith("throughput")]
    assert {name: round(float(line.get_xdata()[0]), 3) for name, line in lines(axes).items()} == {
        "oak": 0.8, "elm": 0.5, "ash": 0.625,
    }  # fmt: skip
    assert keys(figure) == ["oak", "elm", "ash", "over the machines"]
    assert "a spread over 3 machines and not over invocations" in said(figure)
    assert "on 3 machines: oak, elm, ash" in said(figure)
    for name in ("oak", "elm", "ash"):
        assert f"machine {name} \N{MIDDLE DOT} kernel 6.18.5" in said(figure)
    table = machines_table(on({"oak": 1.25, "elm": 2.0}))
    assert table is not None
    written = io.StringIO()
    Console(width=200, file=written).print(table)
    assert "0.63 (0.50 \N{EN DASH} 0.80)" in written.getvalue()


def test_there_is_none_where_nothing_is_side_by_side() -> None:
    assert machines_figure(on({"oak": 1.5})) is None
    assert machines_figure(on({"oak": 1.5, "lab": 2.0}, lab={"accelerator": "tcg"})) is None, "emulated time is none"
    assert machines_figure(on({"oak": 1.5, "elm": 2.0}, CONFIGS[1:])) is None, "no baseline"
    apart = on({"oak": 1.5}), on({"elm": 1.5}, [rated("none", 5e4, "never"), rated("cards", 5e4)])
    both = make_run([*apart[0].outcomes, *apart[1].outcomes], on({"oak": 1.5, "elm": 1.5}).manifest)  # type: ignore[arg-type]
    assert machines_figure(both) is None, "no configuration in common"
    assert machines_table(both) is None


def test_workers_of_one_host_are_no_spread_over_machines() -> None:
    told = {"worker": {"shares_host_with": ["elm"]}}
    run = on({"oak": 1.5, "elm": 2.0}, oak=told, elm={"worker": {"shares_host_with": ["oak"]}})
    assert "that share ONE host" in said(drawn(run))
    assert "on 2 workers of ONE host: oak, elm" in said(drawn(run))
    partly = on({"oak": 1.5, "elm": 2.0, "ash": 1.2}, oak=told)
    assert "a spread over 2 machines" in said(drawn(partly))
    assert "oak and elm share a host" in said(drawn(partly))


def test_hosts_are_told_by_what_the_manifest_has() -> None:
    run = on({"a": 1, "b": 1, "c": 1, "d": 1}, a={"host": "x"}, b={"host": "y"}, c={"host": "x"}, d={"host": "unknown"})
    assert hosts(run, run.machines) == (("b",), ("a", "c"), ("d",))
    guest = on({"native": 1, "lab-6.12-kvm": 1}, **{"lab-6.12-kvm": {"lab": {"name": "lab"}}})
    assert hosts(guest, guest.machines) == (("native", "lab-6.12-kvm"),)


def test_a_multiple_of_the_smallest_heap_is_the_same_on_machines_where_that_differs() -> None:
    def sized(least: int) -> list[Config]:
        return [evolve(one, heap_bytes=2 * least, heap_times=2.0, minheap_bytes=least) for one in CONFIGS]

    outcomes = [
        slower(outcome, 1.5)
        for name, least in (("oak", 8 << 20), ("elm", 9 << 20))
        for outcome in make_outcomes(sized(least), machine=name)
    ]
    run = make_run(outcomes, on({"oak": 1, "elm": 1}).manifest)  # type: ignore[arg-type]
    assert len(shared(run)) == 2
    assert "2\N{MULTIPLICATION SIGN} the smallest heap" in " ".join(
        axes.get_title(loc="left") for axes in drawn(run).axes
    )


def test_a_machine_that_was_lost_is_in_the_small_print() -> None:
    run = on({"oak": 1.5, "elm": 2.0})
    loss = {"machine": "oak", "block": 3, "finished": 1, "again_on": "elm"}
    told = make_run(list(run.outcomes), {**run.manifest, "lost_workers": [loss]})
    assert "oak was lost in block 3 after 1 of its invocations, which stay; the block was done again on elm" in said(
        drawn(told)
    )
