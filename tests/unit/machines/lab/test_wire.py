"""Frames between host and guest."""

import importlib
import operator
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import SUPPORT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab import report_progress, run_command
from gcbarrier.machines.lab.wire import END, Alive, Call, Decoder, Done, Failed, Message, Output, Progress, encode

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
from gcbarrier.machines.lab.calls import run_call
run_call(pickle.load(sys.stdin.buffer), int(sys.argv[1]), 1, 2)
"""


def run_here(job: object, environment: Mapping[str, str] | None = None) -> tuple[list[Message], bytes]:
    """Run a job as the agent would, in a process of its own: what it sent, and what it printed."""
    call = Call(module="", job=pickle.dumps(job), environment=environment or {})
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as results:
        command = [sys.executable, "-c", BE_THE_JOB, str(theirs)]
        done = subprocess.run(command, input=pickle.dumps(call), stdout=subprocess.PIPE, pass_fds=[theirs], check=True)
        os.close(theirs)
        sent = results.read()
        assert sent.endswith(END), "which is how the agent knows that the outcome has been said"
        decoder = Decoder()
        decoder.feed(sent.removesuffix(END))
    return list(iter(decoder.message, None)), done.stdout


BE_THE_AGENT = """
import sys
from gcbarrier.machines.lab.agent import Agent
agent = Agent(int(sys.argv[1]))
while (call := agent.receive()) is not None:
    agent.run(call)
"""


@pytest.fixture
def ask_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Message]]]:
    """Have one agent run ``function`` of a module, and return all that it says of it."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    ours, theirs = socket.socketpair()
    decoder = Decoder()

    def ask(module: str, function: str, *args: object) -> list[Message]:
        job = pickle.dumps((getattr(importlib.import_module(module), function), args, {}))
        ours.sendall(encode(Call(module=module, job=job, environment={})))
        said: list[Message] = []
        while not said or not isinstance(said[-1], Done | Failed):
            while (message := decoder.message()) is None:
                decoder.feed(ours.recv(1 << 16))
            if not isinstance(message, Alive):
                said.append(message)
        return said

    ours.settimeout(60)
    command = [sys.executable, "-c", BE_THE_AGENT, str(theirs.fileno())]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as agent:
        yield ask
        ours.shutdown(socket.SHUT_WR)
        assert agent.wait(60) == 0


@pytest.mark.parametrize("status", [0, 3])
def test_a_job_that_exits_has_said_nothing_and_that_is_said(
    ask_agent: Callable[..., list[Message]], status: int
) -> None:
    for function in ("leave", "leave_in_c"):
        # It has never said anything more than once for a job: the next one hears its own.
        *_, last = ask_agent("lab_jobs", function, status)
        assert isinstance(last, Failed), f"a call of {function} was answered"
        said = f"the job's process in the lab's guest ended without a result (status {status})"
        assert str(last.error) == said
    assert ask_agent("lab_jobs", "add", 40, 2) == [Done(value=42)]
    (failed,) = ask_agent("sys", "exit", status)
    assert isinstance(failed, Failed)
    assert (type(failed.error), str(failed.error)) == (GcBarrierError, f"SystemExit in the lab's guest: {status}")


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
