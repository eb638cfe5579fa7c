"""Which processors threads are put on, and what is refused."""

import pytest

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.placement import Placement, check, listed, numbers, placed


@pytest.mark.parametrize(
    ("pin", "mutators", "allowed", "collector", "on"),
    [
        ("", 1, {0, 1}, (), ()),
        ("apart", 1, {0, 1}, (0,), (1,)),
        ("apart", 1, {0, 1, 2, 3}, (0, 1, 2), (3,)),
        ("apart", 3, {0, 1, 2, 3}, (0,), (1, 2, 3)),
        ("apart", 8, {2, 5, 7}, (2,), (5, 7)),
        ("together", 4, {0, 3}, (3,), (3,)),
        ("1/0", 2, {0, 1}, (1,), (0,)),
        ("0-1/1,3", 2, {0, 1, 3}, (0, 1), (1, 3)),
    ],
)
def test_threads_get_processors(
    pin: str, mutators: int, allowed: set[int], collector: tuple[int, ...], on: tuple[int, ...]
) -> None:
    assert placed(pin, mutators, allowed) == Placement(collector=collector, mutators=on)


@pytest.mark.parametrize("mutators", range(1, 6))
@pytest.mark.parametrize("count", range(2, 6))
def test_apart_nobody_shares_the_collectors(mutators: int, count: int) -> None:
    found = placed("apart", mutators, range(count))
    assert not {*found.collector} & {*found.mutators}
    assert {*found.collector} | {*found.mutators} == set(range(count)), "nor is any left idle"


@pytest.mark.parametrize(
    ("pin", "allowed", "said"),
    [
        ("apart", {4}, "this process may use 4 alone"),
        ("0/9", {0, 1, 2}, "asks for processor 9, and this process may use 0-2"),
    ],
)
def test_an_impossible_placement_is_refused(pin: str, allowed: set[int], said: str) -> None:
    with pytest.raises(GcBarrierError, match=said):
        placed(pin, 1, allowed)


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "3-1", "1,1", "0-99999", "1.5", "٣"])
def test_what_is_no_list_of_processors_is_refused(text: str) -> None:
    with pytest.raises(GcBarrierError, match="no list of processors"):
        numbers(text)


@pytest.mark.parametrize("text", ["0", "0,2", "0-3", "1,3-5,9"])
def test_a_list_is_written_as_it_is_read(text: str) -> None:
    assert listed(numbers(text)) == text


def test_a_placement_is_said_in_words() -> None:
    assert str(placed("0/1-3", 3, range(4))) == "collector 0, mutators 1-3"
    assert str(Placement()) == ""


def test_a_word_that_is_none_is_refused_with_those_that_are() -> None:
    assert [check(each) for each in ("apart", "none", "0/1-3")] == ["apart", "", "0/1-3"]
    with pytest.raises(GcBarrierError, match="it takes apart, together, none, or two lists"):
        check("asunder")
    with pytest.raises(GcBarrierError, match="no list of processors"):
        check("0/x")
