"""What was asked for is refused where one part of it can't be had with another, a dry run's included."""

from pathlib import Path
from typing import Any

import pytest

from gcbarrier.campaign import again, experiments
from gcbarrier.campaign.course import Recorded
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.settings import read
from gcbarrier.errors import GcBarrierError
from gcbarrier.results.run import Run


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"until": 0.05, "on": "tcp://here:1"}, "--until .* one machine"),
        ({"until": 0.05, "stress": 100}, "--stress is no measurement"),
        ({"settings": read(["machine=native"]), "on": "tcp://here:1"}, "machine=native is not among the workers"),
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(GcBarrierError, match=said):
        Request(experiment="pause_times", **asked)


@pytest.mark.parametrize(
    ("chosen", "settled"),
    [
        ({}, ("native", "")),
        ({"workers": {"on": "tcp://here:1"}}, ("", "tcp://here:1")),
        ({"machine": "lab"}, ("lab", "")),
    ],
)
def test_a_run_of_this_machine_may_be_run_again_on_workers(
    chosen: dict[str, Any], settled: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(experiment="pause_times", settings=read(["machine=native"]))
    run = Run(directory=Path("x"), manifest={}, outcomes=(), event_files=())
    found = Recorded(run=run, request=request, seed=1, plans={})
    begun: list[Request] = []
    monkeypatch.setattr(again, "to_repeat", lambda _: (found, []))
    monkeypatch.setattr(experiments, "begin", lambda request, **_: begun.append(request))
    experiments.repeat(Path("x"), **chosen)
    assert (begun[0].settings.machine, begun[0].on) == settled
