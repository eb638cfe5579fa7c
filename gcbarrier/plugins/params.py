"""Parameters of heaps, barriers and collectors: attrs classes, filled from what a user set, and handed to C.

A plug-in's ``Params`` is a frozen attrs class whose fields are ``int``, ``float``, ``bool`` or ``str``, each with a
default. A heap's mutator gets them as a struct, in which an ``int`` and a ``bool`` are ``int64_t`` and a ``float`` is
``double``; the C files of a barrier or a collector as constants (``-D``). Texts are not there in C.
"""

import struct
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Scalar, parse_bytes
from gcbarrier.plugins import discovery
from gcbarrier.plugins.discovery import nearest

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class NoParams:
    """Of a plug-in that has none."""


def of_plugin(kind: str, name: str, cls: Any) -> type[Any]:
    """A plug-in's ``Params`` with the types of its fields known, also where they were written as text.

    Raises GcBarrierError with file and line where C can't have one of them.
    """
    if not isinstance(cls, type) or not attrs.has(cls):
        raise discovery.misshapen(kind, name, "Params must be an attrs class", "Params")
    try:
        attrs.resolve_types(cls)
    except Exception as problem:
        what = f"the types of its fields can't be told: {type(problem).__name__}: {problem}"
        raise discovery.misshapen(kind, name, what, "Params") from problem
    for each in attrs.fields(cls):
        if each.type not in (int, float, bool, str):
            kinds = "int, float, bool or str"
            raise discovery.misshapen(kind, name, f"{each.name} must be of type {kinds}", "Params", each.name)
        if each.default is attrs.NOTHING:
            raise discovery.misshapen(kind, name, f"{each.name} needs a default", "Params", each.name)
    with discovery.blamed(kind, name):
        made = cls()
    fitting(kind, name, made, "the default of", "Params")
    return cls


def fitting(kind: str, name: str, made: Any, what: str, within: str) -> None:
    """Raises GcBarrierError, naming the place in the plug-in's file, where a field's value is not of its type."""
    for field in attrs.fields(type(made)):
        value = getattr(made, field.name)
        if not _fits(value, field.type):
            where = (within, field.name)
            kinds = {int: "a whole number of 64 bits", float: "a finite number", bool: "true or false", str: "a text"}
            said = f"{what} {field.name} must be {kinds[field.type]}, not {value!r:.40}"
            raise discovery.misshapen(kind, name, said, *where)


def make(cls: type[T], given: Mapping[str, Scalar], owner: str) -> T:
    """An instance of ``cls`` with what was ``given``, the rest at its defaults.

    Text is read as the field's type (``"64MiB"`` where the name ends in ``_bytes``). Raises GcBarrierError naming
    ``owner`` for a parameter that isn't there, of the wrong type or out of range.
    """
    fields = {field.name: field for field in attrs.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Scalar] = {}
    for name, value in given.items():
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise GcBarrierError(f"{owner} has no parameter {name!r}; {nearest(name, fields)}it has {known}")
        values[name] = typed(name, value, fields[name].type, owner)
    try:
        return cls(**values)
    except (ValueError, TypeError) as problem:
        why = str(problem.args[0]) if problem.args else str(problem)
        raise GcBarrierError(f"{owner} can't be run like that: {why}; choose another value") from problem


def typed(name: str, value: Scalar, wanted: object, owner: str) -> Scalar:
    """A value as the type of its field. Raises GcBarrierError naming ``owner`` where it is none of these."""
    what = f"{owner}: {name}"
    if wanted is str:
        return str(value)
    if wanted is bool:
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        raise GcBarrierError(f"{what} is true or false, not {value!r}")
    if wanted is int and isinstance(value, str) and name.endswith("_bytes"):
        return parse_bytes(value)
    if isinstance(value, bool | str):
        raise GcBarrierError(f"{what} is a number, not {value!r}")
    if not abs(value) < 1 << 63:  # infinity and not-a-number too
        raise GcBarrierError(f"{what} is a number that fits into 64 bits, not {str(value)[:24]}")
    if wanted is int:
        if value != int(value):
            raise GcBarrierError(f"{what} is a whole number, not {value!r}")
        return int(value)
    return float(value)


def parse(text: str) -> Scalar:
    """What a user typed as a value: a truth, a whole number, a number, else the text itself."""
    truths = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() in truths:
        return truths[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def c_header(cls: type[Any]) -> str:
    """The text of ``gcb_params.h``: the fields of ``cls`` in order as members of 8 bytes, texts left out."""
    kinds = {int: "int64_t", bool: "int64_t", float: "double"}
    members = [f"  {kinds[field.type]} {field.name};" for field in attrs.fields(cls) if field.type in kinds]
    # C has no empty structs.
    body = "\n".join(members or ["  int64_t none;"])
    return f"#include <stdint.h>\n\ntypedef struct gcb_params {{\n{body}\n}} gcb_params;\n"


def c_defines(params: Any) -> tuple[str, ...]:
    """The fields as ``-DGCB_PARAM_<field>=<value>``: constants for a barrier and for the store that it inlines."""
    return tuple(
        f"-DGCB_PARAM_{field.name}={int(value) if field.type in (int, bool) else value!r}"
        for field in attrs.fields(type(params))
        if field.type is not str and (value := getattr(params, field.name)) is not None
    )


def pack(params: Any) -> bytes:
    """The bytes of the struct that :func:`c_header` declares."""
    packed = b""
    for field in attrs.fields(type(params)):
        value = getattr(params, field.name)
        if field.type in (int, bool):
            packed += struct.pack("=q", int(value))
        elif field.type is float:
            packed += struct.pack("=d", float(value))
    return packed or bytes(8)


def _fits(value: object, wanted: object) -> bool:
    if wanted is str:
        return isinstance(value, str)
    if wanted is bool:
        return isinstance(value, bool) or value in (0, 1)
    whole = isinstance(value, int) and -(1 << 63) <= value < 1 << 63
    return whole or (wanted is float and isinstance(value, float) and abs(value) < float("inf"))
