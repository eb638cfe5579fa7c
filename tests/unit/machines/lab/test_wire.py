"""Frames between host and guest."""

import operator
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab import report_progress, run_command
from gcbarrier.machines.lab.wire import Call, Decoder, Done, Failed, Message, Output, Progress, encode

values = st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner, max_size=4))
messages = st.one_of(
    st.builds(Output, stream=st.sampled_from((1, 2)), data=st.binary(max_size=300)),
    st.builds(Progress, value=values),
    st.builds(Done, value=values),
    st.builds(
        Call,
        module=st.text(),
        job=st.binary(max_size=99),
        environment=st.dictionaries(st.text(), st.text(), max_size=3),
    ),
)


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 64), min_size=1, max_size=50))
def test_messages_come_out_as_they_went_in_however_they_are_cut(sent: list[Message], cuts: list[int]) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    got = []
    at = turn = 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
        while (message := decoder.message()) is not None:
            got.append(message)
    assert got == sent
    assert decoder.frame() is None


@given(st.lists(messages, min_size=1, max_size=4), st.integers(1, 40))
def test_a_frame_passed_on_unread_is_still_that_message(sent: list[Message], missing: int) -> None:
    stream = b"".join(map(encode, sent))
    first, second = Decoder(), Decoder()
    for part in (stream[:-missing], stream[-missing:]):
        first.feed(part)
        while (frame := first.frame()) is not None:
            second.feed(len(frame).to_bytes(8, "little") + frame)
    assert [second.message() for _ in sent] == sent


@pytest.mark.parametrize("error", [Unavailable("a", "b", "c"), GcBarrierError("d"), ValueError("e", 1)])
def test_exceptions_survive_the_way(error: Exception) -> None:
    decoder = Decoder()
    decoder.feed(encode(Failed(error=error)))
    message = decoder.message()
    assert isinstance(message, Failed)
    assert type(message.error) is type(error)
    assert message.error.args == error.args


BE_THE_JOB = """
import pickle, sys
from gcbarrier.machines.lab.jobs import run_job
run_job(pickle.load(sys.stdin.buffer), int(sys.argv[1]), 1, 2)
"""


def run_here(job: object, environment: Mapping[str, str] | None = None) -> tuple[list[Message], bytes]:
    """Run a job as the agent would, in a process of its own: what it sent, and what it printed."""
    call = Call(module="", job=pickle.dumps(job), environment=environment or {})
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as results:
        command = [sys.executable, "-c", BE_THE_JOB, str(theirs)]
        done = subprocess.run(command, input=pickle.dumps(call), stdout=subprocess.PIPE, pass_fds=[theirs], check=True)
        os.close(theirs)
        decoder = Decoder()
        decoder.feed(results.read())
    return list(iter(decoder.message, None)), done.stdout


def test_a_job_sends_its_result_and_its_output() -> None:
    assert run_here((operator.add, (40, 2), {})) == ([Done(value=42)], b"")
    assert run_here((print, ("hello",), {"end": "!"})) == ([Done(value=None)], b"hello!")


def test_a_job_finds_its_environment_and_reports_progress() -> None:
    ask = (os.getenv, ("GCBARRIER_MACHINE",), {})
    assert run_here(ask, {"GCBARRIER_MACHINE": "lab-1"})[0] == [Done(value="lab-1")]
    assert run_here((report_progress, ({"done": 3},), {}))[0] == [Progress(value={"done": 3}), Done(value=None)]
    report_progress("outside a guest nothing comes of it")


def test_an_exception_brings_its_traceback() -> None:
    (failed,), _ = run_here((operator.truediv, (1, 0), {}))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ZeroDivisionError)
    assert "in the lab's guest:\nTraceback" in failed.error.__notes__[0]


def test_what_can_not_travel_fails_with_a_reason() -> None:
    (failed,), _ = run_here((open, (os.devnull,), {}))
    assert isinstance(failed, Failed)
    assert "pickle" in str(failed.error)


def test_a_command_has_the_status_that_a_shell_would_report() -> None:
    assert run_here((run_command, (["sh", "-c", "echo out; exit 3"], "/no/such/folder"), {})) == (
        [Done(value=3)],
        b"out\n",
    )
    assert run_here((run_command, (["sh", "-c", "kill -9 $$"], "/"), {}))[0] == [Done(value=137)]
    (failed,), _ = run_here((run_command, (["no-such-tool"], "/"), {}))
    assert isinstance(failed, Failed)
    assert "the guest can't run no-such-tool" in str(failed.error)
