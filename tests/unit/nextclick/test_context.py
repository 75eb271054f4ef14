"""The context of events and requests: what is taken, merged and shared."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nextclick import (
    Context,
    Event,
    InvalidEventError,
    InvalidRequestError,
    decode_event,
    encode_event,
)
from nextclick.calls import recommend
from nextclick.context import NAMES, NOWHERE, check_context, shared
from nextclick.convert import context_from_proto, context_to_proto
from nextclick.limits import MAX_CONTEXT_BYTES, MAX_REFERRER_BYTES
from nextclick.requests import RecommendRequest
from nextclick.v1 import session_pb2

LONGEST = Context(*3 * ("x" * MAX_CONTEXT_BYTES,), "ä" * (MAX_REFERRER_BYTES // 2))


def event_with(context: Any) -> bytes:
    fields = {"v": 1, "type": "view", "item_id": "a", "timestamp_ms": 1, "session_id": "s"}
    return orjson.dumps(fields | {"context": context})


@pytest.mark.parametrize("context", [NOWHERE, Context(country="DE"), LONGEST])
def test_a_context_survives_records_and_messages(context: Context) -> None:
    """If it failed, the country of an event would be lost on its way into the session."""
    event = Event("view", "a", 1, "s", context=context)
    assert decode_event(encode_event(event)) == event
    message = context_to_proto(context)
    assert context_from_proto(message or session_pb2.Context()) == context


def test_the_fields_are_those_of_the_message() -> None:
    """If it failed, a field was added to one of the two only."""
    assert [field.name for field in session_pb2.Context.DESCRIPTOR.fields] == list(NAMES)


@pytest.mark.parametrize("context", [{}, {"device": None}, {"device": ""}, {"os": "linux"}, None])
def test_what_says_nothing_is_no_context(context: Any) -> None:
    """If it failed, such events would change sessions, each with a record of its own."""
    assert decode_event(event_with(context)).context == NOWHERE


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ("mobile", "context"),
        (["mobile"], "context"),
        (False, "context"),
        ({"device": 7}, "context.device"),
        ({"country": "x" * (MAX_CONTEXT_BYTES + 1)}, "context.country"),
        ({"channel": "a\0b"}, "context.channel"),
        ({"referrer": "x" * (MAX_REFERRER_BYTES + 1)}, "context.referrer"),
    ],
)
def test_a_faulty_context_names_its_field(context: Any, field: str) -> None:
    """If it failed, senders would not know which of the texts is wrong."""
    with pytest.raises(InvalidEventError) as caught:
        decode_event(event_with(context))
    assert [fault.field for fault in caught.value.faults] == [field]


def test_the_client_refuses_what_is_no_context() -> None:
    """If it failed, a dict would be sent as nothing, or fail with words of protobuf."""
    for wrong, field in (({"device": "mobile"}, "context"), (Context(device="x" * 65), "device")):
        with pytest.raises(InvalidRequestError, match=field):
            recommend(RecommendRequest("s", context=wrong))  # type: ignore[arg-type]
    assert not recommend(RecommendRequest("s", context=Context())).request.HasField("context")


def test_the_newer_context_wins_field_by_field() -> None:
    """If it failed, a request that names the device would forget the session's country."""
    older = Context(device="mobile", country="DE")
    assert Context(device="tablet").over(older) == Context(device="tablet", country="DE")
    assert NOWHERE.over(older) is older
    assert older.over(NOWHERE) == older


def test_equal_contexts_are_one_object() -> None:
    """If it failed, each of a million sessions would take memory for the same few words."""
    assert shared("mobile", "DE", "", "") is shared("mobile", "DE", "", "")
    assert shared("", "", "", "") is NOWHERE


def test_a_check_takes_any_value() -> None:
    """If it failed, a wrong type would end in a traceback instead of a fault."""
    faults: list[Any] = []
    check_context(faults, object())
    check_context(faults, Context(device=object()))  # type: ignore[arg-type]
    assert [fault.field for fault in faults] == ["context", "context.device"]
