"""Events and items between their protobuf messages and the codec's dataclasses."""

from __future__ import annotations

from nextclick.codec import Event, Item
from nextclick.v1 import catalog_service_pb2, event_service_pb2


def event_from_proto(message: event_service_pb2.Event) -> Event:
    """Return the event of a message, not validated."""
    return Event(
        type=message.type,
        item_id=message.item_id,
        timestamp_ms=message.timestamp_ms,
        session_id=message.session_id,
        user_id=message.user_id,
        event_id=message.event_id,
        value=message.value if message.HasField("value") else None,
        recommendation_id=message.recommendation_id,
        position=message.position,
        properties=dict(message.properties),
    )


def event_to_proto(event: Event) -> event_service_pb2.Event:
    """Return the message of an event."""
    return event_service_pb2.Event(
        event_id=event.event_id,
        type=event.type,
        session_id=event.session_id,
        user_id=event.user_id,
        item_id=event.item_id,
        timestamp_ms=event.timestamp_ms,
        value=event.value,
        recommendation_id=event.recommendation_id,
        position=event.position,
        properties=event.properties,
    )


def item_from_proto(message: catalog_service_pb2.Item) -> Item:
    """Return the catalogue item of a message, not validated."""
    return Item(
        item_id=message.item_id,
        available=message.available if message.HasField("available") else True,
        categories=tuple(message.categories),
        attributes=dict(message.attributes),
        title=message.title,
        kind=message.kind,
        description=message.description,
        numbers=dict(message.numbers),
        image_url=message.image_url,
        page_url=message.page_url,
        available_from_ms=message.available_from_ms,
        available_until_ms=message.available_until_ms,
        embedding=tuple(message.embedding),
    )


def item_to_proto(item: Item) -> catalog_service_pb2.Item:
    """Return the message of a catalogue item."""
    return catalog_service_pb2.Item(
        item_id=item.item_id,
        available=item.available,
        categories=item.categories,
        attributes=item.attributes,
        title=item.title,
        kind=item.kind,
        description=item.description,
        numbers=item.numbers,
        image_url=item.image_url,
        page_url=item.page_url,
        available_from_ms=item.available_from_ms,
        available_until_ms=item.available_until_ms,
        embedding=item.embedding,
    )
