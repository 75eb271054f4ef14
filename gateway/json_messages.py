"""Messages as JSON and back: ProtoJSON with the names that the protos have.

Requests are parsed by protobuf's own `json_format`, which takes both spellings of a name
(``session_id`` and ``sessionId``) and refuses names that do not exist; both at once are refused
here. Responses are written by functions that are made once for each message: `json_format` looks at
the descriptor of each message anew, which takes three times as long. A test compares the two.

Every field of a response is there, also one that is 0 or empty; those with ``optional`` only where
they are set. 64-bit integers are texts, since JavaScript rounds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from gateway.methods import is_list
from gateway.problems import ProblemError
from nextclick.errors import FieldFault
from nextclick.limits import MAX_EMBEDDING, MAX_PUT_EVENTS

MAX_ENTRIES = max(MAX_PUT_EVENTS, MAX_EMBEDDING)
"""Entries of a list; no list of the API may have more, and each costs a request its time."""

MAX_DEPTH = 100
"""Messages in each other; `json_format` refuses what is nested deeper."""

Writer = Callable[[Any], Any]
"""Returns what stands for a message, or for one value, in JSON."""


def parsed(kind: type[Message], body: bytes) -> bytes:
    """Return the serialised message that a body says; an empty body is an empty message.

    Raises
    ------
    ProblemError
        If it is not JSON, or not such a message.
    """
    try:
        said = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as e:
        raise ProblemError(f"the body is not JSON: {e}") from None
    if not isinstance(said, dict):
        raise ProblemError("the body is not a JSON object")
    _check_lists(said)
    _check_names(said, kind.DESCRIPTOR)
    try:
        return ParseDict(said, kind()).SerializeToString()
    except ParseError as e:
        raise ProblemError(
            f"the body is no {kind.DESCRIPTOR.name}: {' '.join(str(e).split())}"
        ) from None


def _check_lists(said: object) -> None:
    """Refuse long lists, before time is spent on their entries."""
    waiting = [said]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            if len(one) > MAX_ENTRIES:
                raise ProblemError(f"a list has {len(one)} entries; send at most {MAX_ENTRIES}")
            waiting += one


def _check_names(said: dict[str, Any], kind: Any, depth: int = 1) -> None:
    """Refuse both spellings of a name at once: `json_format` would take the last one."""
    for name, other, nested in _spellings(kind):
        if name != other and name in said and other in said:
            told = f"is there as {other}, too; send one of them"
            raise ProblemError("", violations=[FieldFault(name, told)])
        if nested is not None:
            value = said.get(name, said.get(other))
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, dict) and depth < MAX_DEPTH:
                    _check_names(one, nested, depth + 1)


@cache
def _spellings(kind: Any) -> list[tuple[str, str, Any]]:
    """Return both names of each field, and the message that it holds, if that is no map."""
    return [
        (field.name, field.json_name, nested)
        for field in kind.fields
        for nested in [field.message_type]
        if nested is None or not nested.GetOptions().map_entry
    ]


def written(kind: type[Message], raw: bytes) -> bytes:
    """Return a serialised message as JSON."""
    return orjson.dumps(writer(kind.DESCRIPTOR)(kind.FromString(raw)))


@cache
def writer(descriptor: Descriptor) -> Writer:
    """Return the function that writes messages of one kind."""
    if not all(map(_is_plain, descriptor.fields)) or descriptor.full_name.startswith("google."):
        return partial(
            MessageToDict,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    always = [(field.name, _value(field)) for field in descriptor.fields if not field.has_presence]
    where_set = [(field.name, _value(field)) for field in descriptor.fields if field.has_presence]

    def write(message: Any) -> dict[str, Any]:
        said = {
            name: getattr(message, name) if one is None else one(getattr(message, name))
            for name, one in always
        }
        for name, one in where_set:
            if message.HasField(name):
                value = getattr(message, name)
                said[name] = value if one is None else one(value)
        return said

    return write


def _is_plain(field: FieldDescriptor) -> bool:
    """Whether a field is no map but one of texts or fractions, and has no bytes."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return False
    kind = field.message_type
    if kind is None or not kind.GetOptions().map_entry:
        return True
    key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
    return key.type == FieldDescriptor.TYPE_STRING and (
        value.type == FieldDescriptor.TYPE_STRING or value.cpp_type in FRACTIONS
    )


def _value(field: FieldDescriptor) -> Writer | None:
    """Return the function that writes a field's value; None: it stands for itself."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        entry = _single(kind.fields_by_name["value"])
        return dict if entry is None else lambda held: {k: entry(v) for k, v in held.items()}
    one = _single(field)
    if not is_list(field):
        return one
    return list if one is None else lambda values: list(map(one, values))


def _single(field: FieldDescriptor) -> Writer | None:
    if field.message_type is not None:
        kind = field.message_type

        def write(message: Any) -> Any:  # looked up late, since it may contain its own kind
            return writer(kind)(message)

        return write
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)  # a newer server knows more of them
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
        return str
    if field.cpp_type in FRACTIONS:
        return _number
    return None


FRACTIONS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
