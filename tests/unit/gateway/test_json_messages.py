"""Messages as JSON: what protobuf's own `json_format` would say, and take."""

import json
from ctypes import c_float

import pytest
from google.protobuf import descriptor_pb2, json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.json_messages import MAX_ENTRIES, parsed, written
from gateway.methods import METHODS
from gateway.problems import ProblemError
from nextclick.limits import MAX_EMBEDDING
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import event_service_pb2 as event_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.made_messages import messages

KINDS = sorted(
    {kind for method in METHODS for kind in (method.request, method.response)},
    key=lambda kind: kind.DESCRIPTOR.full_name,
)
FULL = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


@given(st.sampled_from(KINDS).flatmap(messages))
def test_what_is_written_is_what_json_format_writes(message):
    """Clients that are generated from the protos read it."""
    said = json.loads(written(type(message), message.SerializeToString()))
    expected = json_format.MessageToDict(message, **FULL)
    assert told_apart(said) == told_apart(expected)


def told_apart(said):
    """JSON whose numbers are floats of 32 bits: `json_format` writes fewer of their digits."""
    match said:
        case dict():
            return {name: told_apart(value) for name, value in said.items()}
        case list():
            return [told_apart(value) for value in said]
        case float():
            return c_float(said).value
    return said


@given(st.sampled_from(KINDS).flatmap(messages))
def test_what_is_written_is_parsed_to_the_same_message(message):
    """An item that was read and is put again must not change."""
    raw = message.SerializeToString(deterministic=True)
    kind = type(message)
    back = kind.FromString(parsed(kind, written(kind, raw)))
    assert back.SerializeToString(deterministic=True) == raw


@pytest.mark.parametrize(
    "message",
    [
        struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=1)}),
        descriptor_pb2.FileDescriptorProto(
            name="a", message_type=[{"name": "b", "nested_type": [{"name": "c"}]}]
        ),
        descriptor_pb2.UninterpretedOption(string_value=b"\xff", negative_int_value=-(2**60)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_of_any_kind_can_be_written(message):
    """Of calls that are yet to come: with types of Google's, with their own kind in it, with
    bytes."""
    said = json.loads(written(type(message), message.SerializeToString()))
    assert said == json_format.MessageToDict(message, **FULL)


def test_both_spellings_of_a_name_are_taken():
    """Generated clients say sessionId; the protos, Kafka's records and errors say session_id."""
    for name in ("session_id", "sessionId"):
        raw = parsed(pb.RecommendRequest, json.dumps({name: "s"}).encode())
        assert pb.RecommendRequest.FromString(raw).session_id == "s"
    assert parsed(pb.RecommendRequest, b"") == b""


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (pb.RecommendRequest, b'{"session_id": "a", "sessionId": "b"}', "session_id"),
        (event_pb.PutEventsRequest, b'{"events": [{"itemId": "a", "item_id": "b"}]}', "item_id"),
        (pb.TrendingRequest, b'{"filter": {"excludeSeen": true, "exclude_seen": false}}', "excl"),
    ],
)
def test_both_spellings_at_once_are_refused(kind, body, field):
    """The last one was taken: a click of one visitor became another's, and nobody was told."""
    with pytest.raises(ProblemError) as problem:
        parsed(kind, body)
    [fault] = problem.value.violations
    assert fault.field.startswith(field)
    assert "send one of them" in fault.description
    names = b'{"events": [{"properties": {"item_id": "a", "itemId": "b"}}]}'
    assert parsed(event_pb.PutEventsRequest, names)  # these are not ours


def test_times_are_taken_as_numbers_and_as_texts():
    """JavaScript has `Date.now()`; what the gateway answers are texts."""
    for time_ms in (1_764_086_400_000, "1764086400000"):
        body = json.dumps({"events": [{"timestamp_ms": time_ms}]}).encode()
        request = event_pb.PutEventsRequest.FromString(parsed(event_pb.PutEventsRequest, body))
        assert request.events[0].timestamp_ms == 1_764_086_400_000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"session_id": "\\ud800"}', "not JSON"),
        (b'{"page_size": NaN}', "not JSON"),
        (b"[" * 2_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'{"sesion_id": "s"}', 'no field named "sesion_id"'),
        (b'{"session_id": 1}', "session_id"),
        (b'{"page_size": -1}', "page_size"),
        (b'{"page_size": 1e99}', "page_size"),
        (b'{"filter": 5}', "filter"),
        (b'{"filter": {"categories": "shoes"}}', "categories"),
        (b'{"session_items": [null]}', "session_items"),
        (b'{"explain": "yes"}', "explain"),
    ],
)
def test_what_is_no_request_is_refused_with_what_is_wrong(body, said):
    """The caller would look for the fault in the server's log."""
    with pytest.raises(ProblemError, match=said) as problem:
        parsed(pb.RecommendRequest, body)
    assert problem.value.status == 400
    assert "\n" not in problem.value.detail


@pytest.mark.parametrize("depth", [40, 60, 400])
def test_what_is_nested_too_deep_is_refused(depth):
    """A condition may hold others: a body of a few kB ended in a RecursionError."""
    body = b'{"filter": {"condition": ' + b'{"not": ' * depth + b"{}" + b"}" * depth + b"}}"
    if depth < 50:
        assert pb.TrendingRequest.FromString(parsed(pb.TrendingRequest, body)).HasField("filter")
    elif depth > 100:
        with pytest.raises(ProblemError, match="TrendingRequest"):
            parsed(pb.TrendingRequest, body)


def test_what_an_item_is_goes_there_and_back():
    """Numbers, and a vector as wide as the limit allows."""
    item = {
        "item_id": "a",
        "numbers": {"price": 9.5},
        "embedding": [0.5, -2] * (MAX_EMBEDDING // 2),
    }
    raw = parsed(catalog_pb.PutItemsRequest, json.dumps({"items": [item]}).encode())
    [sent] = catalog_pb.PutItemsRequest.FromString(raw).items
    assert (sent.numbers["price"], len(sent.embedding)) == (9.5, MAX_EMBEDDING)
    response = catalog_pb.GetItemsResponse(items=[sent])
    [said] = json.loads(written(type(response), response.SerializeToString()))["items"]
    assert said["numbers"] == {"price": 9.5}
    assert said["embedding"] == item["embedding"]


def test_a_list_that_no_call_takes_is_refused_before_it_is_parsed():
    """A megabyte of empty events takes seconds to parse, and other calls would wait."""
    body = json.dumps({"events": [{}] * (MAX_ENTRIES + 1)}).encode()
    with pytest.raises(ProblemError, match=f"at most {MAX_ENTRIES}"):
        parsed(event_pb.PutEventsRequest, body)
    deep = json.dumps({"events": [{"properties": [[0] * (MAX_ENTRIES + 1)]}]}).encode()
    with pytest.raises(ProblemError, match=f"at most {MAX_ENTRIES}"):
        parsed(event_pb.PutEventsRequest, deep)
