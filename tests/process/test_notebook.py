"""The example notebook runs, and what it shows is small and for reading."""

import os
from pathlib import Path
from typing import Any

import pytest
from places import CHECKOUT

from gcbarrier.plugins import discovery

NOTEBOOK = CHECKOUT / "experiments" / "two_barriers.ipynb"


@pytest.fixture
def notebook() -> Any:
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_without_what_it_shows(notebook: Any) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not [cell for cell in code if cell.outputs or cell.execution_count]


def test_it_is_no_experiment() -> None:
    assert NOTEBOOK.stem not in discovery.names("experiments")


def test_it_runs_and_shows_tables_and_figures(
    needs: Any, notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("async-uffd-wp")
    from nbclient import NotebookClient

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    html = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    outcomes, outcome, run, figures, cell = html
    for table in (outcomes, run):
        assert table.count("<tr>") == 4, "a head and a row for each configuration"
        assert "uffd-wp-async" in table
        assert len(table) < 4000
    assert "graph_edits/" in outcome
    assert "graph_edits/uffd-wp-async/mostly-concurrent" in cell
    assert figures.count("<svg ") == 1
    (printed,) = (output["text"] for output in shown if output.output_type == "stream")
    assert [line.partition(":")[0] for line in printed.splitlines()] == ["cards", "uffd-wp-async"]
