"""An experiment in a guest, whose kernel has soft-dirty."""

from pathlib import Path

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings


def test_in_the_lab_soft_dirty_reports_falsely_and_loses(tmp_path: Path, needs) -> None:
    needs("lab")
    chosen = settings.read(["machine=lab", "barrier=soft-dirty,uffd-wp-async"])
    run = campaign.run("accuracy", out=tmp_path / "run", quick=True, settings=chosen)
    assert not campaign.failures(run)
    table = run.measurements[run.measurements["memory"] == "shmem"]
    counts = {(str(row["barrier"]), str(row["what"])): int(row["value"]) for row in table}
    assert counts["soft-dirty", "plain write/false"] == 0
    assert counts["soft-dirty", "neighbour merges/false"] == 62
    assert counts["soft-dirty", "MADV_DONTNEED/lost"] == 8
    assert counts["uffd-wp-async", "neighbour merges/false"] == counts["uffd-wp-async", "MADV_DONTNEED/lost"] == 0
