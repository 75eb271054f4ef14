"""The codec on whatever the topic may hold: it names faults, and raises nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick.codec import (
    Event,
    InvalidEventError,
    Item,
    decode_event,
    decode_item,
    encode_event,
    encode_item,
)
from nextclick.context import Context
from nextclick.convert import (
    event_from_proto,
    event_to_proto,
    item_from_proto,
    item_to_proto,
    user_from_proto,
    user_to_proto,
)
from nextclick.limits import MAX_TIMESTAMP_MS
from nextclick.users import User, decode_user, encode_user
from nextclick.v1 import event_service_pb2, session_pb2

EXAMPLES = settings(max_examples=300, deadline=None)


def texts(low: int, high: int) -> st.SearchStrategy[str]:
    """Strings of ``low`` to ``high`` bytes without NUL; 4 bytes a character at most."""
    alphabet = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(alphabet, min_size=low, max_size=high // 4)


def maps(value_bytes: int) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(texts(1, 64), texts(0, value_bytes), max_size=3)


contexts = st.builds(Context, texts(0, 64), texts(0, 64), texts(0, 64), texts(0, 256))
session_ids = texts(1, 256).filter(lambda s: not s.startswith("u:"))
events = st.builds(
    Event,
    type=st.sampled_from(["click", "view", "purchase", "rating"]) | texts(1, 64),
    item_id=texts(1, 256),
    timestamp_ms=st.integers(1, MAX_TIMESTAMP_MS),
    session_id=session_ids,
    user_id=texts(0, 256),
    event_id=texts(0, 256),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    recommendation_id=texts(0, 256),
    position=st.integers(0, 10_000),
    properties=maps(1_024),
    context=contexts,
)
items = st.builds(
    Item,
    item_id=texts(1, 256),
    available=st.booleans(),
    categories=st.lists(texts(1, 128), max_size=3).map(tuple),
    attributes=maps(256),
    title=texts(0, 1_024),
)
users = st.builds(
    User,
    user_id=texts(1, 256),
    attributes=maps(256),
    segments=st.lists(texts(1, 64), max_size=3).map(tuple),
    consent=st.booleans(),
)

FIELDS = [
    "v", "type", "item_id", "timestamp_ms", "session_id", "user_id", "event_id", "value",
    "recommendation_id", "position", "properties", "state", "available", "categories",
    "attributes", "title", "context", "segments", "consent",
]  # fmt: skip
huge = st.sampled_from([10**19, -(10**19), 10**400, 2**63, 2**64, -(2**63) - 1])
scalars = st.none() | st.booleans() | st.integers() | huge | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def dump(value: Any) -> bytes:
    """JSON as other languages may write it: NaN, huge numbers, lone surrogates included."""
    return json.dumps(value).encode()


def attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """Return the result, or the one error that is allowed."""
    try:
        return function(argument)
    except InvalidEventError as error:
        return error


def check_decoder(decode: Callable[[bytes], Any], raw: bytes) -> None:
    """Check that the bytes are taken, and then survive encoding, or refused with faults."""
    value = attempt(decode, raw)
    if isinstance(value, InvalidEventError):
        assert value.faults
        assert all(isinstance(text, str) and text for fault in value.faults for text in fault)
        str(value).encode()  # goes into a header of the dead letter
        return
    assert decode(ENCODERS[decode](value)) == value


ENCODERS: dict[Callable[[bytes], Any], Callable[[Any], bytes]] = {
    decode_event: encode_event,
    decode_item: encode_item,
    decode_user: encode_user,
}
every = pytest.mark.parametrize("decode", list(ENCODERS))


@every
@EXAMPLES
@given(raw=st.binary(max_size=300))
def test_any_bytes(decode: Callable[[bytes], Any], raw: bytes) -> None:
    """If it failed, one garbled record would stop the job, and again after every restart."""
    check_decoder(decode, raw)


@every
@EXAMPLES
@given(value=values)
def test_any_json(decode: Callable[[bytes], Any], value: Any) -> None:
    """If it failed, a record of another program in the topic would stop the job."""
    check_decoder(decode, dump(value))


@every
@EXAMPLES
@given(record=st.dictionaries(st.sampled_from(FIELDS), values))
def test_any_types_in_known_fields(decode: Callable[[bytes], Any], record: dict[str, Any]) -> None:
    """If it failed, a wrong type in some field would stop the job."""
    check_decoder(
        decode, dump({"v": 1, "type": "click", "item_id": "a", "timestamp_ms": 1} | record)
    )


@every
@EXAMPLES
@given(
    event=events, cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=3)
)
def test_mutated_events(
    decode: Callable[[bytes], Any], event: Event, cuts: list[tuple[int, bytes]]
) -> None:
    """If it failed, a flipped bit in a real click would stop the job."""
    raw = bytearray(encode_event(event))
    for place, piece in cuts:
        raw[place : place + len(piece)] = piece
    check_decoder(decode, bytes(raw))


@every
@settings(max_examples=30, deadline=None)
@given(depth=st.integers(1, 30_000), bracket=st.sampled_from(["[", '{"a":', '{"properties":']))
def test_deep_nesting(decode: Callable[[bytes], Any], depth: int, bracket: str) -> None:
    """If it failed, a few bytes of brackets would overflow the worker's stack."""
    closing = "]" if bracket == "[" else "}"
    inner = bracket * depth + "1" + closing * depth
    check_decoder(decode, inner.encode())
    check_decoder(decode, b'{"v":1,"properties":' + inner.encode() + b"}")


@EXAMPLES
@given(event=events)
def test_valid_events_survive(event: Event) -> None:
    """If it failed, a valid event would be refused, or read as another one."""
    assert decode_event(encode_event(event)) == event
    assert orjson.loads(encode_event(event))["v"] == 1


@EXAMPLES
@given(item=items)
def test_valid_items_survive(item: Item) -> None:
    """If it failed, the catalogue would differ from what was put."""
    assert decode_item(encode_item(item)) == item
    assert item_from_proto(item_to_proto(item)) == item


@EXAMPLES
@given(user=users)
def test_valid_users_survive(user: User) -> None:
    """If it failed, a refusal of a profile, say, would be read as consent."""
    assert decode_user(encode_user(user)) == user
    assert user_from_proto(user_to_proto(user)) == user


@EXAMPLES
@given(
    message=st.builds(
        event_service_pb2.Event,
        type=st.text(max_size=70),
        item_id=st.text(max_size=70),
        session_id=st.text(max_size=3),
        user_id=st.text(max_size=3),
        timestamp_ms=st.integers(-5, MAX_TIMESTAMP_MS + 5),
        value=st.floats(),
        position=st.integers(0, 10_005),
        properties=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
        context=st.builds(
            session_pb2.Context, device=st.text(max_size=70), country=st.text(max_size=3)
        ),
    )
)
def test_put_events_agrees_with_the_topic(message: event_service_pb2.Event) -> None:
    """If it failed, PutEvents would acknowledge what the job refuses, or refuse what it takes."""
    event = event_from_proto(message)
    fields = {name: getattr(event, name) for name in event.__slots__}
    fields["context"] = dataclasses.asdict(event.context)
    raw = dump({"v": 1} | fields)
    encoded, decoded = attempt(encode_event, event), attempt(decode_event, raw)
    if isinstance(encoded, InvalidEventError):
        assert isinstance(decoded, InvalidEventError)
        if event.value is None or math.isfinite(event.value):  # JSON has no word for the others
            assert decoded.faults == encoded.faults
        return
    assert decode_event(encoded) == decoded == event
    assert event_from_proto(event_to_proto(event)) == event
