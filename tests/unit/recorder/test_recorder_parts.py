"""The recorder's parts by themselves: mappings and their history, signals, ticks, those who come to the door."""

import array
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import parse_ns
from gcbarrier.page_traces.records import Mapping, PageTrace, Recording, Slowdown
from gcbarrier.recorder.descriptors import Came, Clock, Signals
from gcbarrier.recorder.door import ENDS, Door
from gcbarrier.recorder.maps import AddressSpace, Area, History, _area
from gcbarrier.recorder.process import command_of, ended_by, name_of, parent_of
from gcbarrier.report.recording_table import recording_table
from gcbarrier.report.text import show
from gcbarrier.report.units import TIMES


@pytest.mark.parametrize(
    ("text", "ns"),
    [("10ms", 10**7), ("1.5s", 15 * 10**8), ("200us", 2 * 10**5), ("7 ns", 7), ("2min", 12 * 10**10), ("3µs", 3000)],
)
def test_lengths_of_time_are_read_with_their_units(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


@pytest.mark.parametrize("text", ["", "10", "ms", "-1ms", "0s", "0.1ns", "1h", "9" * 400 + "s", "1e3ms", "nan s"])
def test_what_is_no_length_of_time_is_said(text: str) -> None:
    with pytest.raises(GcBarrierError, match=r"is no length of time: write a number and a unit, such as 10ms or 1\.5s"):
        parse_ns(text)


@pytest.mark.parametrize(
    ("line", "watched", "name"),
    [
        (b"7f0000000000-7f0000002000 rw-p 00000000 00:00 0 ", True, ""),
        (b"7f0000000000-7f0000002000 ---p 00000000 00:00 0 ", True, ""),
        (b"7f0000000000-7f0000002000 rw-p 00001000 08:01 77                 /lib/a file.so", True, "/lib/a file.so"),
        (b"7f0000000000-7f0000002000 r-xp 00001000 08:01 77                 /lib/x.so", False, "/lib/x.so"),
        (
            b"7f0000000000-7f0000002000 rw-s 00000000 00:01 9                  /memfd:x (deleted)",
            False,
            "/memfd:x (del",
        ),
        (b"7f0000000000-7f0000002000 rw-p 00000000 00:00 0                  [heap]", True, "[heap]"),
        (b"7f0000000000-7f0000002000 r--p 00000000 00:00 0                  [vvar]", False, "[vvar]"),
        (b"7f0000000000-7f0000002000 r-xp 00000000 00:00 0                  [vdso]", False, "[vdso]"),
        (b"7f0000000000-7f0000002000 r--p 00000000 00:00 0                  [vvar_vclock]", False, "[vvar_vclock]"),
    ],
)
def test_what_can_have_pages_of_its_own_is_watched(line: bytes, watched: bool, name: str) -> None:
    area = _area(line)
    assert (area.start, area.end, area.watched) == (0x7F0000000000, 0x7F0000002000, watched)
    assert area.name.startswith(name)


def test_our_own_mappings_are_read_and_change() -> None:
    space = AddressSpace(os.getpid())
    try:
        assert space.refresh()
        assert not space.gone
        assert [area for area in space.areas if area.name == "[stack]" and area.watched]
        assert list(space.areas) == sorted(space.areas, key=lambda area: area.start)
        memory = np.empty(1 << 24, np.uint8)  # large enough to be mapped by itself
        address = memory.ctypes.data
        space.refresh()
        assert any(area.start <= address < area.end for area in space.areas)
    finally:
        space.close()


def test_mappings_that_touch_and_have_one_name_are_one_whatever_their_rights() -> None:
    history = History()
    history.note([Area(0, 10, True, ""), Area(10, 30, True, ""), Area(40, 50, True, "")], 0)
    history.note([Area(0, 30, True, ""), Area(40, 50, False, ""), Area(60, 70, True, "x")], 3)
    history.note([Area(0, 35, True, ""), Area(60, 70, True, "x"), Area(70, 80, True, "y")], 5)
    assert history.all() == (
        Mapping(start=0, end=30, name="", since=0, until=5),
        Mapping(start=40, end=50, name="", since=0, until=3),
        Mapping(start=60, end=70, name="x", since=3),
        Mapping(start=0, end=35, name="", since=5),
        Mapping(start=70, end=80, name="y", since=5),
    )


def test_signals_wait_to_be_read_and_tell_who_sent_them() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Signals((signal.SIGUSR1, signal.SIGTERM)) as signals:
        assert signals.before == before
        assert signals.come() == []
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert sorted(signals.come(), key=lambda came: came.number) == [
            Came(signal.SIGUSR1, True, os.getpid()),
            Came(signal.SIGTERM, True, os.getpid()),
        ]
        signal.pthread_kill(
            threading.get_ident(), signal.SIGUSR1
        )  # and what is left when nobody reads any more is lost, not delivered
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_clock_counts_the_ticks_that_nobody_waited_for() -> None:
    clock = Clock(1_000_000)
    try:
        begun = time.monotonic_ns()
        time.sleep(0.02)
        ticks = clock.ticks()
        assert 19 <= ticks <= (time.monotonic_ns() - begun) // 1_000_000 + 1
        assert clock.ticks() <= 1 + (time.monotonic_ns() - begun) // 1_000_000 - ticks
    finally:
        clock.close()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


def call(door: Door, text: bytes, *, hand: tuple[int, ...] = ()) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.connect(f"\0{door.name}")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", hand))] if hand else []
    if text:
        line.sendmsg([text], rights)
    return line


def test_who_comes_to_the_door_is_known_by_its_number_and_answered(door: Door) -> None:
    with call(door, struct.pack("=IiQQ", ENDS, 0, 16, 32)) as line:
        (descriptor,) = door.let_in()
        caller = door.hear(descriptor)
        assert caller is not None
        assert (caller.kind, caller.pid, caller.start, caller.size_bytes) == (ENDS, os.getpid(), 16, 32)
        assert caller.uffd is None
        caller.answer(True)
        assert line.recv(2) == b"y"
        assert line.recv(2) == b""


def test_nonsense_at_the_door_is_turned_away_with_what_it_handed_over(door: Door) -> None:
    reader, writer = os.pipe()
    with call(door, b"nonsense", hand=(writer,)) as line, call(door, b"") as silent:
        os.close(writer)
        first, second = door.let_in()
        assert door.hear(first) is None
        assert line.recv(1) == b""
        assert os.read(reader, 1) == b"", "no copy of what was handed over is left open"
        assert second in door.waiting
        door.close()
        assert silent.recv(1) == b"", "who waits goes on when the recorder ends"
    os.close(reader)


def test_more_than_one_descriptor_at_the_door_is_not_kept(door: Door) -> None:
    reader, writer = os.pipe()
    wanted = os.open(os.devnull, os.O_RDONLY)
    with call(door, struct.pack("=IiQQ", ENDS, 0, 0, 0), hand=(wanted, writer)):
        os.close(writer)
        (descriptor,) = door.let_in()
        caller = door.hear(descriptor)
        assert caller is not None
        assert caller.uffd is not None
        os.set_blocking(reader, False)
        assert os.read(reader, 1) == b""
        caller.uffd.close()
        caller.answer(False)
    os.close(reader)
    os.close(wanted)


def test_a_door_without_a_free_descriptor_lets_callers_go_on(door: Door) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lines = [call(door, b"") for _ in range(3)]
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 1, hard))
    try:
        assert door.let_in() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert door.turned_away == 3
    for each in lines:
        assert each.recv(1) == b""
        each.close()
    os.close(opened[0])


def test_a_process_is_known_by_its_words() -> None:
    assert command_of(os.getpid())[0]
    assert parent_of(os.getpid()) == os.getppid()
    gone = 1 << 22
    assert (command_of(gone), name_of(gone), parent_of(gone)) == (("[]",), "", None)
    assert (ended_by(0), ended_by(3 << 8), ended_by(9)) == ("exit 0", "exit 3", "signal 9")


def test_a_recording_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    many = [
        PageTrace.of([[0, 1, 2], [1], [1, 2]], every_ns=10**7, pid=7, command=("/bin/server",), ended="exit 0"),
        *(PageTrace.of([[0]], every_ns=10**7, pid=100 + each, command=("x",)) for each in range(20)),
        PageTrace.of([], every_ns=10**7, pid=8, command=("idle",), ended="exec"),
    ]
    slow = (
        Slowdown(every_ns=0, wall_ns=(100, 110, 90), cpu_ns=(100, 100, 100)),
        Slowdown(every_ns=10**7, wall_ns=(140, 150, 150), cpu_ns=(120, 120, 120)),
    )
    found = Recording(
        command=("server",),
        every_ns=10**7,
        tracker="uffd-wp-async",
        traces=tuple(many),
        slowdowns=slow,
        notes=("process 9 was not followed",),
    )
    show(recording_table(found, "app.pages", wall_ns=10**9, cpu_ns=10**8))
    said = capsys.readouterr().out
    assert "app.pages: 22 programs and forks, ticks of 10 ms, uffd-wp-async" in said
    (row,) = (line.split() for line in said.splitlines() if line.startswith("server"))
    assert row == ["server", "(7,", "start)", "3", "3", "2", "2.9", "2", "0", "0", "ns", "exit", "0"]
    assert "and 10 more, which wrote 9 pages in all ticks together" in said
    assert "the recorder took 100 ms of a processor in 1 s (10 %)" in said
    took = f"looked at every 10 ms it took {TIMES}1.50 as long and {TIMES}1.20 processor time"
    assert f"{took} (medians of 3 and 3 runs)" in said
    assert "note: process 9 was not followed" in said
