"""Events and catalogue items as JSON records, with validation that names every fault.

The ranges are those of ``event_service.proto`` and ``catalog_service.proto``. Fields that are
null count as left out; unknown ones are ignored; of repeated ones the last counts.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nextclick.checks import (
    check_finite,
    check_integer,
    check_map,
    check_numbers,
    check_text,
    check_time,
    check_url,
    check_vector,
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
    MAX_DESCRIPTION_BYTES,
    MAX_EMBEDDING,
    MAX_ID_BYTES,
    MAX_KIND_BYTES,
    MAX_NUMBER_KEY_BYTES,
    MAX_NUMBERS,
    MAX_POSITION,
    MAX_PROPERTIES,
    MAX_PROPERTY_BYTES,
    MAX_PROPERTY_KEY_BYTES,
    MAX_RECORD_BYTES,
    MAX_TITLE_BYTES,
    MAX_TYPE_BYTES,
    MAX_URL_BYTES,
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
    """A catalogue item; see `Item` in ``catalog_service.proto`` for the ranges.

    An ``embedding`` is kept as 32-bit floats.
    """

    item_id: str
    available: bool = True
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    title: str = ""
    deleted: bool = False
    kind: str = ""
    description: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)
    image_url: str = ""
    page_url: str = ""
    available_from_ms: int = 0
    available_until_ms: int = 0
    embedding: Sequence[float] = field(default=(), hash=False)


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
    record: dict[str, Any] = {
        "v": VERSION,
        "item_id": item.item_id,
        "state": "active",
        "available": item.available,
        "categories": item.categories,
        "attributes": dict(item.attributes),
        "title": item.title,
    }
    for name in _LATER_FIELDS:
        if value := getattr(item, name):
            record[name] = value
    if item.numbers:
        record["numbers"] = {name: float(number) for name, number in item.numbers.items()}
    if item.embedding:
        record[_EMBEDDING] = encode_embedding(item.embedding)
    return dump_record(record)


def encode_embedding(numbers: Sequence[float]) -> str:
    """Return an embedding as it is in an item's record: floats, little endian, in base64.

    >>> encode_embedding((1.0, -2.0))
    'AACAPwAAAMA='
    """
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def decode_embedding(text: str) -> tuple[float, ...]:
    """Return what `encode_embedding` was given; raise ValueError for any other text."""
    raw = b64decode(text, validate=True)
    if len(raw) % FLOAT_BYTES:
        raise ValueError("is no list of floats")
    return struct.unpack(f"<{len(raw) // FLOAT_BYTES}f", raw)


def embedding_width(record: bytes) -> int:
    """Return how many numbers the embedding has in a record that `encode_item` made; 0: none.

    >>> embedding_width(encode_item(Item("a", embedding=(1.0, 2.0))))
    2
    """
    end = len(record) - 2  # it is the last field, and base64 has no quotes
    start = record.rfind(b'"', 0, max(end, 0)) + 1
    if record[end:] != b'"}' or not record.endswith(_BEFORE_EMBEDDING, 0, start):
        return 0
    return 3 * len(record[start:end].rstrip(b"=")) // 4 // FLOAT_BYTES


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
        get("kind", ""),
        get("description", ""),
        get("numbers", {}),
        get("image_url", ""),
        get("page_url", ""),
        get("available_from_ms", 0),
        get("available_until_ms", 0),
        _embedding(get(_EMBEDDING, ())),
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
    check_text(faults, "kind", item.kind, 0, MAX_KIND_BYTES)
    check_text(faults, "description", item.description, 0, MAX_DESCRIPTION_BYTES)
    check_numbers(
        faults, "numbers", item.numbers, entries=MAX_NUMBERS, key_bytes=MAX_NUMBER_KEY_BYTES
    )
    check_url(faults, "image_url", item.image_url, MAX_URL_BYTES)
    check_url(faults, "page_url", item.page_url, MAX_URL_BYTES)
    _check_window(faults, item.available_from_ms, item.available_until_ms)
    check_vector(faults, _EMBEDDING, item.embedding, MAX_EMBEDDING)
    return tuple(faults)


def width_faults(name: str, widths: Sequence[int], held: int = 0) -> list[FieldFault]:
    """Return what is wrong with the widths of embeddings; of a shop, all have the same.

    Parameters
    ----------
    name
        Name of the list of items.
    widths
        Numbers of each item's embedding, 0: it has none.
    held
        How many those of the catalogue have, 0: none has one, or that is not known.

    >>> [fault.field for fault in width_faults("items", [2, 0, 3])]
    ['items[2].embedding']
    """
    said = "those of the catalogue have"
    if not held:
        [(held, _)] = Counter(filter(None, widths)).most_common(1) or [(0, 0)]
        said = f"most of {name} have"
    return [
        FieldFault(
            f"{name}[{place}].{_EMBEDDING}",
            f"has {width} numbers, {said} {held}: send as many, or first put all items without one",
        )
        for place, width in enumerate(widths)
        if width not in (0, held)
    ]


def _check_window(faults: list[FieldFault], from_ms: Any, until_ms: Any) -> None:
    before = len(faults)
    for name, value in (("available_from_ms", from_ms), ("available_until_ms", until_ms)):
        if value != 0 or isinstance(value, bool):
            check_time(faults, name, value)
    if len(faults) == before and 0 < until_ms <= from_ms:
        fault = "is not after available_from_ms; send a later time, or set available to false"
        faults.append(FieldFault("available_until_ms", fault))


def _embedding(value: Any) -> Any:
    """Return the numbers of an embedding: a list, or base64; anything else is left for checks."""
    if isinstance(value, list):
        return tuple(value)
    try:
        return decode_embedding(value) if isinstance(value, str) else value
    except ValueError:
        return value


FLOAT_BYTES = 4

_EMBEDDING = "embedding"
_BEFORE_EMBEDDING = f',"{_EMBEDDING}":"'.encode()

_LATER_FIELDS = (
    "kind", "description", "image_url", "page_url", "available_from_ms", "available_until_ms",
)  # fmt: skip
"""Fields that a record has only where they say something."""

_ITEM_FRAME = 8_192
"""More than `encode_item` adds to a record that says the same in fewer bytes, by leaving fields out
or by short numbers: an item that was read must be fit to be written, as snapshots do."""

_PLAIN_FIELDS = (
    "event_id", "type", "session_id", "user_id", "item_id", "timestamp_ms", "recommendation_id",
    "position",
)  # fmt: skip
