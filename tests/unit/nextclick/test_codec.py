"""Events and items as records: what is taken, what is refused, in which words."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import pickle
from typing import Any

import orjson
import pytest

from nextclick.codec import (
    DeadLetterReason,
    Event,
    InvalidEventError,
    Item,
    decode_event,
    decode_item,
    embedding_width,
    encode_event,
    encode_item,
    item_faults,
    width_faults,
)
from nextclick.context import Context
from nextclick.limits import MAX_RECORD_BYTES, MAX_TIMESTAMP_MS
from nextclick.units import HINT

CLICK = {"v": 1, "type": "click", "item_id": "a", "timestamp_ms": 1_700_000_000_000}
FULL = Event(
    type="purchase",
    item_id="ä-1",
    timestamp_ms=1_396_861_805_277,
    session_id="s",
    user_id="u",
    event_id="e",
    value=3.5,
    recommendation_id="r",
    position=4,
    properties={"page": "home", "empty": ""},
    context=Context(device="mobile", country="DE"),
)

FULL_ITEM = Item(
    "ä-2",
    False,
    ("c",),
    {"k": "v"},
    "T",
    kind="film",
    description="D",
    numbers={"price": 9.5, "year": 1979.0},
    image_url="https://shop.example/a.jpg",
    page_url="HTTP://shop.example/ä?b=c",
    available_from_ms=1_700_000_000_000,
    available_until_ms=1_700_000_000_001,
    embedding=(0.5, -2.0),
)


def record(**fields: Any) -> bytes:
    return orjson.dumps(CLICK | {"session_id": "s"} | fields)


def refusal(raw: bytes | None, decode: Any = decode_event) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        decode(raw)
    return caught.value


def test_event_survives_its_record() -> None:
    """If it failed, what producers send would not be what the jobs read."""
    assert decode_event(encode_event(FULL)) == FULL


def test_record_has_the_documented_form() -> None:
    """If it failed, producers in other languages, and our own, would write different records."""
    assert orjson.loads(encode_event(FULL)) == {
        "v": 1,
        "event_id": "e",
        "type": "purchase",
        "session_id": "s",
        "user_id": "u",
        "item_id": "ä-1",
        "timestamp_ms": 1_396_861_805_277,
        "value": 3.5,
        "recommendation_id": "r",
        "position": 4,
        "properties": {"page": "home", "empty": ""},
        "context": {"device": "mobile", "country": "DE"},
    }


def test_empty_fields_are_left_out() -> None:
    """If it failed, each click would carry, and the topic keep, a line of empty fields."""
    assert encode_event(Event("click", "a", 5, session_id="s")) == (
        b'{"v":1,"type":"click","session_id":"s","item_id":"a","timestamp_ms":5}'
    )


def test_null_and_unknown_fields_are_as_if_left_out() -> None:
    """If it failed, common JSON writers, and newer producers, would fill the dead letters."""
    raw = record(user_id=None, value=None, properties=None, position=None, later={"x": [1]})
    assert decode_event(raw) == Event("click", "a", 1_700_000_000_000, session_id="s")


def test_last_of_repeated_fields_counts() -> None:
    """If it failed, one record would mean different events to different readers."""
    raw = b'{"v":1,"type":"view","type":"click","item_id":"a","timestamp_ms":1,"session_id":"s"}'
    assert decode_event(raw).type == "click"


def test_all_faults_are_named_at_once() -> None:
    """If it failed, a sender would mend one field at a time, a deployment each."""
    raw = orjson.dumps(
        {
            "v": 1,
            "type": 3,
            "item_id": "x" * 257,
            "timestamp_ms": 1.5,
            "session_id": "u:7",
            "user_id": [],
            "event_id": "a\0b",
            "value": "7",
            "recommendation_id": False,
            "position": 10_001,
            "properties": {"": "v", "k": 1, "long": "v" * 1_025},
        }
    )
    error = refusal(raw)
    assert error.reason == DeadLetterReason.INVALID_FIELD
    assert {fault.field: fault.description for fault in error.faults} == {
        "type": "must be a string, not a number",
        "item_id": "has 257 bytes; send at most 256",
        "timestamp_ms": "must be an integer, not a fractional number; " + HINT,
        "session_id": 'must not begin with "u:", which names users; choose another prefix',
        "user_id": "must be a string, not a list",
        "event_id": "must not contain the character NUL; remove it",
        "value": "must be a number, not a string",
        "recommendation_id": "must be a string, not a boolean",
        "position": "is out of range; send 0 to 10000",
        "properties (a key)": "is missing; send 1 to 64 bytes",
        "properties.k": "must be a string, not a number",
        "properties.long": "has 1025 bytes; send at most 1024",
    }
    assert len(error.faults) == 12
    assert "type: must be a string" in str(error)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, DeadLetterReason.MALFORMED_JSON),
        (b"", DeadLetterReason.MALFORMED_JSON),
        (b"{", DeadLetterReason.MALFORMED_JSON),
        (b"\xff\xfe", DeadLetterReason.MALFORMED_JSON),
        (b'"click"', DeadLetterReason.MALFORMED_JSON),
        (b"[]", DeadLetterReason.MALFORMED_JSON),
        (b"null", DeadLetterReason.MALFORMED_JSON),
        (b"[" * 60_000, DeadLetterReason.MALFORMED_JSON),
        (record().replace(b'"a"', b'"\\ud800"'), DeadLetterReason.MALFORMED_JSON),
        (record().replace(b"1700000000000", b"NaN"), DeadLetterReason.MALFORMED_JSON),
        (record().replace(b"1700000000000", b"1e999"), DeadLetterReason.MALFORMED_JSON),
        (b" " * (MAX_RECORD_BYTES + 1), DeadLetterReason.TOO_LARGE),
        (record(extra="x" * MAX_RECORD_BYTES), DeadLetterReason.TOO_LARGE),
        (b"{}", DeadLetterReason.UNSUPPORTED_VERSION),
        (record(v=2), DeadLetterReason.UNSUPPORTED_VERSION),
        (record(v="1"), DeadLetterReason.UNSUPPORTED_VERSION),
        (record(v=True), DeadLetterReason.UNSUPPORTED_VERSION),
        (record(v=1.0), DeadLetterReason.UNSUPPORTED_VERSION),
        (record(v=[]), DeadLetterReason.UNSUPPORTED_VERSION),
        (record(session_id=""), DeadLetterReason.INVALID_FIELD),
        (record(session_id=None), DeadLetterReason.INVALID_FIELD),
        (record(item_id="i" * 10_000), DeadLetterReason.INVALID_FIELD),
        (record(item_id="ä" * 129), DeadLetterReason.INVALID_FIELD),
        (record(type=""), DeadLetterReason.INVALID_FIELD),
        (record(type="t" * 65), DeadLetterReason.INVALID_FIELD),
        (record(timestamp_ms=0), DeadLetterReason.INVALID_FIELD),
        (record(timestamp_ms=-1), DeadLetterReason.INVALID_FIELD),
        (record(timestamp_ms=True), DeadLetterReason.INVALID_FIELD),
        (record(timestamp_ms="1700000000000"), DeadLetterReason.INVALID_FIELD),
        (record(timestamp_ms=MAX_TIMESTAMP_MS + 1), DeadLetterReason.INVALID_FIELD),
        (record().replace(b"1700000000000", b"9" * 300), DeadLetterReason.INVALID_FIELD),
        (record(position=-1), DeadLetterReason.INVALID_FIELD),
        (record(position=0.0), DeadLetterReason.INVALID_FIELD),
        (record(position=False), DeadLetterReason.INVALID_FIELD),
        (record(value=True), DeadLetterReason.INVALID_FIELD),
        (record(properties=[]), DeadLetterReason.INVALID_FIELD),
        (record(properties={"k": None}), DeadLetterReason.INVALID_FIELD),
        (record(properties={str(n): "" for n in range(33)}), DeadLetterReason.INVALID_FIELD),
    ],
)
def test_what_cannot_be_used_has_its_reason(raw: bytes | None, reason: DeadLetterReason) -> None:
    """If it failed, dead letters would be counted under the wrong reason, or stop the job."""
    error = refusal(raw)
    assert error.reason == reason
    assert error.faults


@pytest.mark.parametrize(
    "fields",
    [
        {"item_id": "i" * 256},
        {"item_id": "ä" * 128},
        {"type": "anything else"},
        {"timestamp_ms": 1},
        {"timestamp_ms": MAX_TIMESTAMP_MS},
        {"position": 10_000},
        {"value": -1e300},
        {"value": 5},
        {"user_id": "u:odd but fine"},
        {"properties": {str(n): "" for n in range(32)}},
    ],
)
def test_edges_of_the_ranges_are_taken(fields: dict[str, Any]) -> None:
    """If it failed, events that the documentation promises to take would be dead letters."""
    event = decode_event(record(**fields))
    assert {name: getattr(event, name) for name in fields} == fields


def test_faulty_events_are_not_encoded() -> None:
    """If it failed, our own producers would write dead letters."""
    for change in (
        {"timestamp_ms": 10**5000},
        {"value": float("nan")},
        {"value": 10**400},
        {"item_id": "\ud800"},
        {"properties": {"k": "\udfff"}},
        {"properties": 7},
        {"session_id": ""},
    ):
        with pytest.raises(InvalidEventError):
            encode_event(dataclasses.replace(FULL, **({"user_id": ""} | change)))


def test_numbers_of_any_size_within_a_double_are_encoded() -> None:
    """If it failed, a valid event would end in orjson's TypeError."""
    assert decode_event(encode_event(dataclasses.replace(FULL, value=10**30))).value == 1e30


def test_escapes_cannot_grow_a_record_over_its_limit() -> None:
    """If it failed, PutEvents would acknowledge what the sessions job then refuses."""
    event = dataclasses.replace(FULL, properties={f"{n}": "\x01" * 1_024 for n in range(32)})
    with pytest.raises(InvalidEventError) as caught:
        encode_event(event)
    assert caught.value.reason == DeadLetterReason.TOO_LARGE


def test_events_are_values() -> None:
    """If it failed, events could not be put into sets, or copied by the standard library."""
    assert len({FULL, dataclasses.replace(FULL)}) == 1
    assert copy.deepcopy(FULL) == pickle.loads(pickle.dumps(FULL)) == FULL
    assert FULL.key == "s"
    assert dataclasses.replace(FULL, session_id="").key == "u:u"


@pytest.mark.parametrize(
    "item",
    [
        Item("a"),
        Item("ä", available=False, categories=("c", "d"), attributes={"k": "v"}, title="Ä"),
        Item("gone", deleted=True),
        FULL_ITEM,
        Item("a", embedding=(3.4028234663852886e38,) * 1_024),
    ],
)
def test_item_survives_its_record(item: Item) -> None:
    """If it failed, the catalogue of a replica would differ from what was put."""
    assert decode_item(encode_item(item)) == item


def test_an_item_that_says_no_more_has_the_record_that_it_always_had() -> None:
    """If it failed, a sync after an update would write each item of the catalogue again."""
    assert encode_item(Item("a", True, ("c",), {"k": "v"}, "T")) == (
        b'{"v":1,"item_id":"a","state":"active","available":true,"categories":["c"],'
        b'"attributes":{"k":"v"},"title":"T"}'
    )


def test_later_fields_of_an_item_have_the_documented_form() -> None:
    """If it failed, what writes to the topic itself, in any language, would be misread."""
    assert encode_item(FULL_ITEM).endswith(
        b'"title":"T","kind":"film","description":"D","image_url":"https://shop.example/a.jpg",'
        b'"page_url":"HTTP://shop.example/\xc3\xa4?b=c","available_from_ms":1700000000000,'
        b'"available_until_ms":1700000000001,"numbers":{"price":9.5,"year":1979.0},'
        b'"embedding":"AAAAPwAAAMA="}'
    )
    listed = orjson.dumps({"v": 1, "item_id": "a", "embedding": [0.5, -2]})
    assert decode_item(listed).embedding == (0.5, -2)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"kind": "k" * 65}, "kind"),
        ({"kind": 7}, "kind"),
        ({"description": "d" * 8_193}, "description"),
        ({"numbers": {str(n): 1 for n in range(33)}}, "numbers"),
        ({"numbers": [1]}, "numbers"),
        ({"numbers": {"": 1}}, "numbers (a key)"),
        ({"numbers": {"price": "9"}}, "numbers.price"),
        ({"numbers": {"price": True}}, "numbers.price"),
        ({"numbers": {"k" * 65: 1}}, "numbers (a key)"),
        ({"image_url": "a.jpg"}, "image_url"),
        ({"image_url": "ftp://shop.example/a"}, "image_url"),
        ({"page_url": "https://"}, "page_url"),
        ({"page_url": "https://shop.example/a b"}, "page_url"),
        ({"page_url": "https://shop.example/" + "x" * 2_048}, "page_url"),
        ({"available_from_ms": -1}, "available_from_ms"),
        ({"available_from_ms": 1.5}, "available_from_ms"),
        ({"available_until_ms": False}, "available_until_ms"),
        ({"available_from_ms": 5, "available_until_ms": 5}, "available_until_ms"),
        ({"embedding": [0.1] * 1_025}, "embedding"),
        ({"embedding": {"0": 1}}, "embedding"),
        ({"embedding": [1, "2"]}, "embedding[1]"),
        ({"embedding": [1, True]}, "embedding[1]"),
        ({"embedding": [1e39]}, "embedding"),
        ({"embedding": "AAAA"}, "embedding"),
        ({"embedding": "AACAfw=="}, "embedding"),  # infinity
        ({"embedding": "no base64!"}, "embedding"),
    ],
)
def test_what_an_item_says_has_its_limits(fields: dict[str, Any], faulty: str) -> None:
    """If it failed, a reader of the catalogue would meet what it cannot use, or no end of it."""
    raw = orjson.dumps({"v": 1, "item_id": "a"} | fields)
    assert [fault.field for fault in refusal(raw, decode_item).faults] == [faulty]


def test_faulty_items_are_not_encoded() -> None:
    """If it failed, an item would end in struct's error, or its record in no reader."""
    for fields in (
        {"embedding": (float("nan"),)},
        {"embedding": (10**400,)},
        {"embedding": "12"},
        {"numbers": {"a": float("inf")}},
        {"numbers": {"a": 10**400}},
        {"available_until_ms": 10**400},
        {"page_url": None},
    ):
        with pytest.raises(InvalidEventError):
            encode_item(Item("a", **fields))  # type: ignore[arg-type]


def test_a_time_in_another_unit_is_named() -> None:
    """If it failed, a shop that sends seconds would have to guess what is out of range."""
    [fault] = item_faults(Item("a", available_until_ms=10**15))
    assert fault.description.endswith("it looks like microseconds; " + HINT)


@pytest.mark.parametrize("width", [0, 1, 2, 3, 4, 384, 1_024])
@pytest.mark.parametrize("title", ["", 'x","embedding":"AAAA', "}", "\\"])
def test_the_width_of_an_embedding_is_read_from_its_record(width: int, title: str) -> None:
    """If it failed, a server would refuse embeddings of the shop's own width, or take any."""
    attributes = {"embedding": "AAAA"}
    record = encode_item(Item("a", title=title, attributes=attributes, embedding=(0.5,) * width))
    assert embedding_width(record) == width
    assert embedding_width(encode_item(Item("a", deleted=True))) == 0


def test_all_embeddings_have_the_same_width() -> None:
    """If it failed, vectors that cannot be compared would be in one catalogue."""
    assert not width_faults("items", [0, 0])
    assert not width_faults("items", [0, 3, 3], held=3)
    [fault] = width_faults("items", [0, 3, 4, 4])
    assert fault.field == "items[1].embedding", "one wrong item must not cost all others"
    assert "has 3 numbers, most of items have 4" in fault.description
    assert [f.field for f in width_faults("items", [0, 3, 3], held=4)] == [
        "items[1].embedding", "items[2].embedding",
    ]  # fmt: skip


def test_item_records_may_leave_fields_out() -> None:
    """If it failed, a minimal record would be refused."""
    assert decode_item(b'{"v":1,"item_id":"a","title":null}') == Item("a")


def test_an_item_that_can_be_read_can_be_written_again() -> None:
    """If it failed, one item would keep a replica from writing snapshots for good."""
    record = {
        "v": 1,
        "item_id": "a",
        "categories": [f"{n:x}" + "\x01" * 127 for n in range(16)],
        "attributes": {f"{n}": "\x01" * 256 for n in range(32)},
        "title": "",
    }
    left = MAX_RECORD_BYTES - len(orjson.dumps(record))
    taken = 0
    for spared in range(40):
        record["title"] = "\x01" * ((left - spared) // 6) + "a" * ((left - spared) % 6)
        raw = orjson.dumps(record)
        assert len(raw) == MAX_RECORD_BYTES - spared
        with contextlib.suppress(InvalidEventError):
            item = decode_item(raw)
            assert decode_item(encode_item(item)) == item
            taken += 1
    assert 0 < taken < 40


def test_deletion_is_a_state() -> None:
    """If it failed, a replica that starts later could not learn of deletions."""
    raw = encode_item(Item("a", deleted=True))
    assert orjson.loads(raw) == {"v": 1, "item_id": "a", "state": "deleted"}


def test_all_faults_of_an_item_are_named_at_once() -> None:
    """If it failed, a catalogue import would be mended one field at a time."""
    raw = orjson.dumps(
        {
            "v": 1,
            "item_id": "",
            "state": "hidden",
            "available": "yes",
            "categories": ["ok", "", 3],
            "attributes": {"k": None},
            "title": "x" * 1_025,
        }
    )
    fields = [fault.field for fault in refusal(raw, decode_item).faults]
    assert fields == [
        "item_id", "available", "categories[1]", "categories[2]", "attributes.k", "title", "state",
    ]  # fmt: skip


@pytest.mark.parametrize("categories", ["", 0, False, {}, "abc", ["c"] * 17])
def test_categories_must_be_a_short_list(categories: Any) -> None:
    """If it failed, odd values would pass as no categories, and a filter leave the item out."""
    raw = orjson.dumps({"v": 1, "item_id": "a", "categories": categories})
    assert [fault.field for fault in refusal(raw, decode_item).faults] == ["categories"]
