"""Events and catalogue items as JSON records, with validation that names every fault.

A valid event takes one pass; faults are collected only when there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import orjson

from nextclick.errors import FieldFault, NextclickError
from nextclick.topics import event_key

VERSION = 1
MAX_EVENT_BYTES = 65_536
MAX_ID_BYTES = 256
MAX_TYPE_BYTES = 64
MAX_POSITION = 10_000
MAX_TIMESTAMP_MS = 4_102_444_800_000  # the year 2100
MAX_PROPERTIES, MAX_PROPERTY_KEY_BYTES, MAX_PROPERTY_BYTES = 32, 64, 1_024
MAX_CATEGORIES, MAX_CATEGORY_BYTES = 16, 128
MAX_ATTRIBUTES, MAX_ATTRIBUTE_BYTES = 32, 256
MAX_TITLE_BYTES = 1_024

_EMPTY: Mapping[str, str] = MappingProxyType({})


class DeadLetterReason(StrEnum):
    """Why an event cannot be used."""

    MALFORMED_JSON = "malformed_json"
    TOO_LARGE = "too_large"
    UNSUPPORTED_VERSION = "unsupported_version"
    INVALID_FIELD = "invalid_field"
    WRONG_KEY = "wrong_key"
    FROM_FUTURE = "from_future"
    TOO_LATE = "too_late"
    SESSION_FULL = "session_full"


class InvalidEventError(NextclickError):
    """An event or item that breaks the contract.

    Parameters
    ----------
    reason
        The kind of fault, as in the dead letter's header.
    faults
        All faults at once, by field.
    """

    def __init__(self, reason: DeadLetterReason, faults: tuple[FieldFault, ...]) -> None:
        self.reason = reason
        self.faults = faults
        super().__init__("; ".join(f"{f.field}: {f.description}" for f in faults))


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
    properties: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

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
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    title: str = ""
    deleted: bool = False


def encode_event(event: Event) -> bytes:
    """Return the record of an event.

    Raises
    ------
    InvalidEventError
        With all faults of the event.
    """
    faults = event_faults(event)
    if faults:
        raise InvalidEventError(DeadLetterReason.INVALID_FIELD, faults)
    record: dict[str, Any] = {"v": VERSION}
    for name in _EVENT_FIELDS:
        value = getattr(event, name)
        if value not in {"", 0}:
            record[name] = value
    if event.value is not None:
        record["value"] = event.value
    if event.properties:
        record["properties"] = dict(event.properties)
    raw = orjson.dumps(record)
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError(DeadLetterReason.TOO_LARGE, (_too_large(len(raw)),))
    return raw


def decode_event(raw: bytes) -> Event:
    """Return the event of a record.

    Raises
    ------
    InvalidEventError
        With all faults of the record; nothing else, whatever the bytes are.
    """
    record = _parse(raw)
    get = record.get
    text = {name: value for name in _OPTIONAL_TEXT if (value := get(name)) is not None}
    position, properties = get("position"), get("properties")
    event = Event(
        get("type", ""),
        get("item_id", ""),
        get("timestamp_ms", 0),
        value=get("value"),
        position=0 if position is None else position,
        properties=_EMPTY if properties is None else properties,
        **text,
    )
    faults = event_faults(event)
    if faults:
        raise InvalidEventError(DeadLetterReason.INVALID_FIELD, faults)
    return event


def event_faults(event: Event) -> tuple[FieldFault, ...]:
    """Return all faults of an event's fields, none for a valid one."""
    faults: list[FieldFault] = []
    _check_text(faults, "type", event.type, 1, MAX_TYPE_BYTES)
    _check_text(faults, "item_id", event.item_id, 1, MAX_ID_BYTES)
    if event.session_id != "":
        _check_text(faults, "session_id", event.session_id, 1, MAX_ID_BYTES)
    if event.user_id != "":
        _check_text(faults, "user_id", event.user_id, 1, MAX_ID_BYTES)
    if event.session_id == "" and event.user_id == "":
        faults.append(FieldFault("session_id", "send session_id, or user_id for a signed-in user"))
    if isinstance(event.session_id, str) and event.session_id.startswith("u:"):
        faults.append(FieldFault("session_id", 'must not begin with "u:", which names users'))
    if event.event_id != "":
        _check_text(faults, "event_id", event.event_id, 1, MAX_ID_BYTES)
    if event.recommendation_id != "":
        _check_text(faults, "recommendation_id", event.recommendation_id, 1, MAX_ID_BYTES)
    _check_integer(faults, "timestamp_ms", event.timestamp_ms, 1, MAX_TIMESTAMP_MS)
    _check_integer(faults, "position", event.position, 0, MAX_POSITION)
    value = event.value
    if value is not None and (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -1.7e308 <= value <= 1.7e308
    ):
        faults.append(FieldFault("value", "must be a finite number"))
    if event.properties is not _EMPTY:
        _check_map(faults, "properties", event.properties, MAX_PROPERTIES, MAX_PROPERTY_BYTES)
    return tuple(faults)


def encode_item(item: Item) -> bytes:
    """Return the record of a catalogue item.

    Raises
    ------
    InvalidEventError
        With all faults of the item.
    """
    faults = item_faults(item)
    if faults:
        raise InvalidEventError(DeadLetterReason.INVALID_FIELD, faults)
    record: dict[str, Any] = {"v": VERSION, "item_id": item.item_id}
    if item.deleted:
        record["state"] = "deleted"
    else:
        record |= {
            "state": "active",
            "available": item.available,
            "categories": list(item.categories),
            "attributes": dict(item.attributes),
            "title": item.title,
        }
    return orjson.dumps(record)


def decode_item(raw: bytes) -> Item:
    """Return the catalogue item of a record.

    Raises
    ------
    InvalidEventError
        With all faults of the record; nothing else, whatever the bytes are.
    """
    record = _parse(raw)
    state = record.get("state", "active")
    categories, attributes, title = (record.get(n) for n in ("categories", "attributes", "title"))
    item = Item(
        record.get("item_id", ""),
        record.get("available", True),
        tuple(categories) if isinstance(categories, list) else categories or (),
        _EMPTY if attributes is None else attributes,
        "" if title is None else title,
        state == "deleted",
    )
    faults = item_faults(item)
    if state not in ("active", "deleted"):
        faults = (*faults, FieldFault("state", 'must be "active" or "deleted"'))
    if faults:
        raise InvalidEventError(DeadLetterReason.INVALID_FIELD, faults)
    return item


def item_faults(item: Item) -> tuple[FieldFault, ...]:
    """Return all faults of an item's fields, none for a valid one."""
    faults: list[FieldFault] = []
    _check_text(faults, "item_id", item.item_id, 1, MAX_ID_BYTES)
    if not isinstance(item.available, bool):
        faults.append(FieldFault("available", "must be true or false"))
    if not isinstance(item.categories, tuple) or len(item.categories) > MAX_CATEGORIES:
        faults.append(FieldFault("categories", f"must be a list of at most {MAX_CATEGORIES}"))
    else:
        for i, name in enumerate(item.categories):
            _check_text(faults, f"categories[{i}]", name, 1, MAX_CATEGORY_BYTES)
    if item.attributes is not _EMPTY:
        _check_map(faults, "attributes", item.attributes, MAX_ATTRIBUTES, MAX_ATTRIBUTE_BYTES)
    if item.title != "":
        _check_text(faults, "title", item.title, 1, MAX_TITLE_BYTES)
    return tuple(faults)


_OPTIONAL_TEXT = ("session_id", "user_id", "event_id", "recommendation_id")
_EVENT_FIELDS = (
    "event_id", "type", "session_id", "user_id", "item_id", "timestamp_ms", "recommendation_id",
    "position",
)  # fmt: skip


def _parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError(DeadLetterReason.TOO_LARGE, (_too_large(len(raw)),))
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        fault = FieldFault("record", f"is not JSON: {e}")
        raise InvalidEventError(DeadLetterReason.MALFORMED_JSON, (fault,)) from None
    if not isinstance(record, dict):
        fault = FieldFault("record", f"must be a JSON object, not {type(record).__name__}")
        raise InvalidEventError(DeadLetterReason.MALFORMED_JSON, (fault,))
    version = record.get("v")
    if version != VERSION or isinstance(version, bool):
        fault = FieldFault("v", f"must be {VERSION}, the version of this format")
        raise InvalidEventError(DeadLetterReason.UNSUPPORTED_VERSION, (fault,))
    return record


def _too_large(size: int) -> FieldFault:
    return FieldFault("record", f"has {size} bytes; at most {MAX_EVENT_BYTES} are taken")


def _check_text(faults: list[FieldFault], name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, str):
        faults.append(FieldFault(name, f"must be a string, not {type(value).__name__}"))
    elif value.isascii():
        # str.isprintable would refuse some letters; control characters are the trouble.
        if not low <= len(value) <= high:
            faults.append(FieldFault(name, _length(len(value), low, high)))
        elif "\0" in value:
            faults.append(FieldFault(name, "must not contain the character NUL"))
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            faults.append(FieldFault(name, "must be valid Unicode, without lone surrogates"))
            return
        if size > high:
            faults.append(FieldFault(name, _length(size, low, high)))
        elif "\0" in value:
            faults.append(FieldFault(name, "must not contain the character NUL"))


def _length(size: int, low: int, high: int) -> str:
    if size == 0:
        return f"is missing; send {low} to {high} bytes"
    return f"has {size} bytes; send {low} to {high}"


def _check_integer(faults: list[FieldFault], name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(FieldFault(name, f"must be an integer, not {type(value).__name__}"))
    elif not low <= value <= high:
        faults.append(FieldFault(name, f"is {value}; must be {low} to {high}"))


def _check_map(faults: list[FieldFault], name: str, value: Any, most: int, size: int) -> None:
    if not isinstance(value, Mapping):
        faults.append(FieldFault(name, f"must be an object of strings, not {type(value).__name__}"))
        return
    if len(value) > most:
        faults.append(FieldFault(name, f"has {len(value)} entries; at most {most} are taken"))
        return
    for key, entry in value.items():
        before = len(faults)
        _check_text(faults, name, key, 1, MAX_PROPERTY_KEY_BYTES)
        if len(faults) == before:
            _check_text(faults, f"{name}.{key}", entry, 0, size)
