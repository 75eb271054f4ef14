"""Events, items, users and contexts between their protobuf messages and the codec's dataclasses."""

from __future__ import annotations

from nextclick.codec import Event, Item
from nextclick.context import NOWHERE, Context, shared
from nextclick.users import User
from nextclick.v1 import catalog_service_pb2, event_service_pb2, session_pb2, user_service_pb2


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
        context=context_from_proto(message.context) if message.HasField("context") else NOWHERE,
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
        context=context_to_proto(event.context),
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


def user_from_proto(message: user_service_pb2.User) -> User:
    """Return the user of a message, not validated."""
    return User(
        user_id=message.user_id,
        attributes=dict(message.attributes),
        segments=tuple(message.segments),
        consent=message.consent if message.HasField("consent") else True,
    )


def user_to_proto(user: User) -> user_service_pb2.User:
    """Return the message of a user."""
    return user_service_pb2.User(
        user_id=user.user_id,
        attributes=user.attributes,
        segments=user.segments,
        consent=user.consent,
    )


def context_from_proto(message: session_pb2.Context) -> Context:
    """Return the context of a message, not validated."""
    return shared(message.device, message.country, message.channel, message.referrer)


def context_to_proto(context: Context) -> session_pb2.Context | None:
    """Return the message of a context, None if it says nothing."""
    return session_pb2.Context(**context.said) if context != NOWHERE else None
