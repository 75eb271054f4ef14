"""Messages of the gRPC calls and the codec's values are the same things."""

from __future__ import annotations

import dataclasses

from nextclick.codec import Event, Item
from nextclick.convert import event_from_proto, event_to_proto, item_from_proto, item_to_proto
from nextclick.v1 import catalog_service_pb2, event_service_pb2

FULL_EVENT = Event("rating", "a", 1_700_000_000_000, "s", "u", "e", 0.0, "r", 4, {"k": "v"})
FULL_ITEM = Item(
    "a",
    False,
    ("c", "d"),
    {"k": "v"},
    "A",
    kind="film",
    description="D",
    numbers={"price": 9.5},
    image_url="https://shop.example/a.jpg",
    page_url="https://shop.example/a",
    available_from_ms=1,
    available_until_ms=2,
    embedding=(0.5, -2.0),
)


def test_events_and_items_survive_the_way_there_and_back() -> None:
    """If it failed, PutEvents or PutItems would lose a field."""
    assert event_from_proto(event_to_proto(FULL_EVENT)) == FULL_EVENT
    assert item_from_proto(item_to_proto(FULL_ITEM)) == FULL_ITEM
    assert all(dataclasses.astuple(dataclasses.replace(FULL_ITEM, available=True, deleted=True)))


def test_unset_is_not_zero() -> None:
    """If it failed, an event without value would count as rated 0, an item as not available."""
    assert event_from_proto(event_service_pb2.Event()).value is None
    assert event_from_proto(event_service_pb2.Event(value=0.0)).value == 0.0
    assert item_from_proto(catalog_service_pb2.Item()).available is True
    assert item_from_proto(catalog_service_pb2.Item(available=False)).available is False


def test_messages_and_values_have_the_same_fields() -> None:
    """If it failed, a field was added to one of the two only."""
    assert {f.name for f in event_service_pb2.Event.DESCRIPTOR.fields} == {
        f.name for f in dataclasses.fields(Event)
    }
    assert {f.name for f in catalog_service_pb2.Item.DESCRIPTOR.fields} == {
        f.name for f in dataclasses.fields(Item)
    } - {"deleted"}
