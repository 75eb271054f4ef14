"""Events and catalogue items as JSON records, with validation that names every fault.

The ranges are those of ``event_service.proto`` and ``catalog_service.proto``. Fields that are
null count as left out; unknown ones are ignored; of repeated ones the last counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nextclick.checks import (
    check_finite,
    check_integer,
    check_map,
    check_text,
    check_time,
    json_type,
)
from nextclick.context import NOWHERE, Context, check_context, context_from_json
from nextclick.errors import FieldFault
from nextclick.json_record import (
    VERSION,
    DeadLetterReason,
    InvalidEventError,
    dump_record,
    parse_record,
    raise_faults,
)
from nextclick.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_ATTRIBUTE_KEY_BYTES,
    MAX_ATTRIBUTES,
    MAX_CATEGORIES,
    MAX_CATEGORY_BYTES,
    MAX_ID_BYTES,
    MAX_POSITION,
    MAX_PROPERTIES,
    MAX_PROPERTY_BYTES,
    MAX_PROPERTY_KEY_BYTES,
    MAX_RECORD_BYTES,
    MAX_TITLE_BYTES,
    MAX_TYPE_BYTES,
)
from nextclick.topics import event_key

__all__ = [
    "DeadLetterReason",
    "Event",
    "InvalidEventError",
    "Item",
    "decode_event",
    "decode_item",
    "encode_event",
    "encode_item",
    "event_faults",
    "item_faults",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a visitor did; see `Event` in ``event_service.proto`` for the ranges."""

    type: str
    item_id: str
    timestamp_ms: int
    session_id: str = ""
    user_id: str = ""
    event_id: str = ""
    value: float | None = None
    recommendation_id: str = ""
    position: int = 0
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    context: Context = NOWHERE

    @property
    def key(self) -> str:
        """Key of the event's record."""
        return event_key(self.session_id, self.user_id)


@dataclass(frozen=True, slots=True)
class Item:
    """A catalogue item; see `Item` in ``catalog_service.proto`` for the ranges."""

    item_id: str
    available: bool = True
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    title: str = ""
    deleted: bool = False


def encode_event(event: Event) -> bytes:
    """Return the record of an event.

    Raises
    ------
    InvalidEventError
        With all faults of the event.
    """
    raise_faults(event_faults(event))
    record: dict[str, Any] = {"v": VERSION}
    for name in _PLAIN_FIELDS:
        if value := getattr(event, name):
            record[name] = value
    if event.value is not None:
        record["value"] = float(event.value)
    if event.properties:
        record["properties"] = dict(event.properties)
    if event.context != NOWHERE:
        record["context"] = event.context.said
    return dump_record(record)


def decode_event(raw: bytes | None) -> Event:
    """Return the event of a record.

    Raises
    ------
    InvalidEventError
        With all faults of the record; nothing else, whatever the bytes are.
    """
    get = parse_record(raw).get
    event = Event(
        get("type", ""),
        get("item_id", ""),
        get("timestamp_ms", 0),
        get("session_id", ""),
        get("user_id", ""),
        get("event_id", ""),
        get("value"),
        get("recommendation_id", ""),
        get("position", 0),
        get("properties", {}),
        context_from_json(get("context")),
    )
    raise_faults(event_faults(event))
    return event


def event_faults(event: Event) -> tuple[FieldFault, ...]:
    """Return all faults of an event's fields, none for a valid one.

    The size of the whole record is left to `encode_event`.
    """
    faults: list[FieldFault] = []
    session_id, user_id = event.session_id, event.user_id
    check_text(faults, "type", event.type, 1, MAX_TYPE_BYTES)
    check_text(faults, "item_id", event.item_id, 1, MAX_ID_BYTES)
    check_time(faults, "timestamp_ms", event.timestamp_ms)
    if session_id != "":
        check_text(faults, "session_id", session_id, 1, MAX_ID_BYTES)
        if isinstance(session_id, str) and session_id.startswith("u:"):
            fault = 'must not begin with "u:", which names users; choose another prefix'
            faults.append(FieldFault("session_id", fault))
    elif user_id == "":
        faults.append(FieldFault("session_id", "is missing; send it, or the user_id"))
    if user_id != "":
        check_text(faults, "user_id", user_id, 1, MAX_ID_BYTES)
    if event.event_id != "":
        check_text(faults, "event_id", event.event_id, 1, MAX_ID_BYTES)
    if event.value is not None:
        check_finite(faults, "value", event.value)
    if event.recommendation_id != "":
        check_text(faults, "recommendation_id", event.recommendation_id, 1, MAX_ID_BYTES)
    check_integer(faults, "position", event.position, 0, MAX_POSITION)
    if event.properties != {}:
        check_map(
            faults,
            "properties",
            event.properties,
            entries=MAX_PROPERTIES,
            key_bytes=MAX_PROPERTY_KEY_BYTES,
            value_bytes=MAX_PROPERTY_BYTES,
        )
    if event.context is not NOWHERE:
        check_context(faults, event.context)
    return tuple(faults)


def encode_item(item: Item) -> bytes:
    """Return the record of a catalogue item.

    Raises
    ------
    InvalidEventError
        With all faults of the item.
    """
    raise_faults(item_faults(item))
    if item.deleted:
        return dump_record({"v": VERSION, "item_id": item.item_id, "state": "deleted"})
    return dump_record(
        {
            "v": VERSION,
            "item_id": item.item_id,
            "state": "active",
            "available": item.available,
            "categories": item.categories,
            "attributes": dict(item.attributes),
            "title": item.title,
        }
    )


def decode_item(raw: bytes | None) -> Item:
    """Return the catalogue item of a record.

    Raises
    ------
    InvalidEventError
        With all faults of the record; nothing else, whatever the bytes are.
    """
    get = parse_record(raw).get
    state, categories = get("state", "active"), get("categories", [])
    item = Item(
        get("item_id", ""),
        get("available", True),
        tuple(categories) if isinstance(categories, list) else categories,
        get("attributes", {}),
        get("title", ""),
        state == "deleted",
    )
    faults = item_faults(item)
    if state not in ("active", "deleted"):
        faults = (*faults, FieldFault("state", 'must be "active" or "deleted"'))
    raise_faults(faults)
    if len(raw or b"") > MAX_RECORD_BYTES - _ITEM_FRAME:
        encode_item(item)
    return item


def item_faults(item: Item) -> tuple[FieldFault, ...]:
    """Return all faults of an item's fields, none for a valid one."""
    faults: list[FieldFault] = []
    check_text(faults, "item_id", item.item_id, 1, MAX_ID_BYTES)
    if not isinstance(item.available, bool):
        fault = f"must be true or false, not {json_type(item.available)}"
        faults.append(FieldFault("available", fault))
    if not isinstance(item.categories, tuple | list):
        fault = f"must be a list of strings, not {json_type(item.categories)}"
        faults.append(FieldFault("categories", fault))
    elif len(item.categories) > MAX_CATEGORIES:
        fault = f"has {len(item.categories)} entries; send at most {MAX_CATEGORIES}"
        faults.append(FieldFault("categories", fault))
    else:
        for i, name in enumerate(item.categories):
            check_text(faults, f"categories[{i}]", name, 1, MAX_CATEGORY_BYTES)
    check_map(
        faults,
        "attributes",
        item.attributes,
        entries=MAX_ATTRIBUTES,
        key_bytes=MAX_ATTRIBUTE_KEY_BYTES,
        value_bytes=MAX_ATTRIBUTE_BYTES,
    )
    check_text(faults, "title", item.title, 0, MAX_TITLE_BYTES)
    return tuple(faults)


_ITEM_FRAME = 256
"""More than the fields that `encode_item` adds to a record that leaves them out: an item that was
read must be fit to be written, as snapshots do."""

_PLAIN_FIELDS = (
    "event_id", "type", "session_id", "user_id", "item_id", "timestamp_ms", "recommendation_id",
    "position",
)  # fmt: skip
