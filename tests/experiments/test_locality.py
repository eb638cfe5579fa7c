"""``locality``: a row for each program, and panels for what was recorded only where something was."""

from collections.abc import Sequence

from drawn import said
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from planned import planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.model import Finding, Probe, Reading, evolve
from gcbarrier.results.run import Run

SCRIPT = campaign.script_of("locality")


def finding(graph: str, *, placed: bool = True, index: int = 0, **more: float) -> Finding:
    values = {
        "objects": 1000.0,
        "references": 2000.0,
        "bytes": 65536.0,
        "pages": 16.0,
        "marked-pages": 10.0,
        "bitmap-pages": 2.0,
        "objects-a-page": 100.0,
        "references-a-page": 125.0,
        "spanning": 0.0125,
        "on-page": 0.25,
        "on-huge": 0.5,
        **more,
    }
    readings = [Reading(what=what, value=value, unit="count") for what, value in values.items()]
    probe = Probe(function="f:f", barrier="none", arguments={"graph": graph})
    head = Reading(what="placed", value=float(placed), unit="count", note=graph)
    return Finding(probe=probe, index=index, machine="native", readings=(head, *readings))


def run(*findings: Finding) -> Run:
    return evolve(make_run([], make_manifest("locality")), findings=findings)


def shown(findings: Sequence[Finding]) -> tuple[Figure, str]:
    made = run(*findings)
    (figure,) = SCRIPT.figures(made).values()
    FigureCanvasAgg(figure).draw()
    return figure, told(SCRIPT.table(made))


def test_each_shipped_graph_is_planned_once() -> None:
    graphs = [probe.arguments["graph"] for probe in planned("locality").probes]
    assert graphs == sorted(set(graphs))
    assert {"cpython", "jvm", "typescript"} <= set(graphs)


def test_programs_by_name_and_what_was_placed_is_marked() -> None:
    figure, table = shown([finding("/a/b/app.graph.npz"), finding("old", placed=False), finding("old", index=1)])
    assert len(figure.axes) == 6, "nothing was recorded"
    rows = [line.split() for line in table.splitlines() if line.startswith(("app ", "old "))]
    assert [row[0] for row in rows] == ["app", "old"] * 2
    assert rows[0][1:] == ["1,000", "2,000", "64", "KiB", "16", "100", "125", "1.25", "%", "25", "%", "50", "%"]
    assert "20 %" in " ".join(rows[2]), "two pages of mark bits for ten of objects"
    assert "Without addresses, and so placed breadth first: old." in table
    assert "No process was recorded beside its graph." in said(figure)


def test_what_was_recorded_has_panels() -> None:
    shares = {"stored-pages": 40.0, "marked-of-stored": 0.125, "stored-of-marked": 0.75, "marked-of-a-tick": 0.5}
    figure, table = shown([finding("app", **shares), finding("other")])
    assert len(figure.axes) == 9
    words = {text.get_text() for axes in figure.axes[6:] for text in axes.texts}
    assert words == {"12.5 %", "75 %", "50 %"}
    assert "Recorded in the same process: app." in table


def test_a_probe_that_failed_is_no_row() -> None:
    bad = evolve(finding("app"), readings=(), error="there is no graph")
    _, table = shown([bad, finding("other")])
    assert "other" in table
    assert "there is no graph" in table
