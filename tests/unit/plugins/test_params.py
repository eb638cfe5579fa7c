"""Parameters of plug-ins: typed, bounded, and the same struct in C."""

import struct
from typing import Any

import attrs
import pytest
from attrs import validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import params


@attrs.frozen(kw_only=True)
class Params:
    """All kinds of fields."""

    count: int = attrs.field(default=3, validator=validators.ge(1))
    share: float = attrs.field(default=0.5, validator=validators.le(1))
    object_bytes: int = 64
    wild: bool = False
    name: str = ""


def test_what_is_given_becomes_the_fields_type() -> None:
    made = params.make(Params, {"count": 7, "share": 1, "object_bytes": "2KiB", "wild": 1, "name": "x"}, "it")
    assert made == Params(count=7, share=1.0, object_bytes=2048, wild=True, name="x")
    assert isinstance(made.share, float)
    assert params.make(Params, {}, "it") == Params()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cuont": 1}, r"it has no parameter 'cuont'; did you mean 'count'\? it has count, share"),
        ({"count": 1.5}, "count is a whole number, not 1.5"),
        ({"count": "many"}, "count is a number, not 'many'"),
        ({"share": True}, "share is a number, not True"),
        ({"wild": 2}, "wild is true or false, not 2"),
        ({"object_bytes": "64 miles"}, "not a size"),
        ({"count": 0}, "it can't be run like that"),
        ({"share": 2}, "it can't be run like that"),
    ],
)
def test_a_mistake_is_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(GcBarrierError, match=said):
        params.make(Params, given, "it")


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("0.5", 0.5), ("1e3", 1000.0), ("true", True), ("Off", False), ("a.npz", "a.npz"), ("64MiB", "64MiB")],
)
def test_texts_are_read_as_what_they_look_like(text: str, value: object) -> None:
    assert params.parse(text) == value
    assert type(params.parse(text)) is type(value)


def test_the_header_and_the_bytes_agree() -> None:
    header = params.c_header(Params)
    members = [line.split() for line in header.splitlines() if line.startswith("  ")]
    assert members == [
        ["int64_t", "count;"],
        ["double", "share;"],
        ["int64_t", "object_bytes;"],
        ["int64_t", "wild;"],
    ], "texts are Python's own"
    packed = params.pack(Params(count=-1 + 2, share=0.25, wild=True))
    assert struct.unpack("=qdqq", packed) == (1, 0.25, 64, 1)


def test_a_plugin_without_numbers_still_has_a_struct() -> None:
    assert "int64_t none;" in params.c_header(params.NoParams)
    assert params.pack(params.NoParams()) == bytes(8)
