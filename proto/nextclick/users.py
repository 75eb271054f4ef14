"""Users as JSON records, with validation that names every fault.

The ranges are those of ``user_service.proto``. Fields that are null count as left out; unknown ones
are ignored; of repeated ones the last counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nextclick.checks import check_map, check_text, json_type
from nextclick.errors import FieldFault
from nextclick.json_record import VERSION, dump_record, parse_record, raise_faults
from nextclick.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_ATTRIBUTE_KEY_BYTES,
    MAX_ATTRIBUTES,
    MAX_ID_BYTES,
    MAX_RECORD_BYTES,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
)


@dataclass(frozen=True, slots=True)
class User:
    """What a caller says of a user; see `User` in ``user_service.proto`` for the ranges.

    Attributes
    ----------
    user_id
        The user.
    attributes
        Such as language or plan.
    segments
        Groups that the caller has put the user into.
    consent
        Whether a profile across sessions may be kept and used.
    deleted
        Whether the record says to forget the user.
    """

    user_id: str
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    segments: tuple[str, ...] = ()
    consent: bool = True
    deleted: bool = False


def encode_user(user: User) -> bytes:
    """Return the record of a user.

    Raises
    ------
    InvalidEventError
        With all faults of the user.

    Examples
    --------
    >>> encode_user(User("u7", segments=("new",), consent=False))
    b'{"v":1,"user_id":"u7","state":"active","segments":["new"],"consent":false}'
    >>> encode_user(User("u7", deleted=True))
    b'{"v":1,"user_id":"u7","state":"deleted"}'
    """
    raise_faults(user_faults(user))
    record: dict[str, Any] = {"v": VERSION, "user_id": user.user_id}
    if user.deleted:
        return dump_record(record | {"state": "deleted"})
    record["state"] = "active"
    if user.attributes:
        record["attributes"] = dict(user.attributes)
    if user.segments:
        record["segments"] = user.segments
    if not user.consent:
        record["consent"] = False
    return dump_record(record)


def decode_user(raw: bytes | None) -> User:
    """Return the user of a record.

    Raises
    ------
    InvalidEventError
        With all faults of the record; nothing else, whatever the bytes are.
    """
    get = parse_record(raw).get
    state, segments = get("state", "active"), get("segments", [])
    user = User(
        get("user_id", ""),
        get("attributes", {}),
        tuple(segments) if isinstance(segments, list) else segments,
        get("consent", True),
        state == "deleted",
    )
    faults = user_faults(user)
    if state not in ("active", "deleted"):
        faults = (*faults, FieldFault("state", 'must be "active" or "deleted"'))
    raise_faults(faults)
    if len(raw or b"") > MAX_RECORD_BYTES - _FRAME:
        encode_user(user)
    return user


def user_faults(user: User) -> tuple[FieldFault, ...]:
    """Return all faults of a user's fields, none for a valid one."""
    faults: list[FieldFault] = []
    check_text(faults, "user_id", user.user_id, 1, MAX_ID_BYTES)
    check_map(
        faults,
        "attributes",
        user.attributes,
        entries=MAX_ATTRIBUTES,
        key_bytes=MAX_ATTRIBUTE_KEY_BYTES,
        value_bytes=MAX_ATTRIBUTE_BYTES,
    )
    if not isinstance(user.segments, tuple | list):
        fault = f"must be a list of strings, not {json_type(user.segments)}"
        faults.append(FieldFault("segments", fault))
    elif len(user.segments) > MAX_SEGMENTS:
        fault = f"has {len(user.segments)} entries; send at most {MAX_SEGMENTS}"
        faults.append(FieldFault("segments", fault))
    else:
        for i, name in enumerate(user.segments):
            check_text(faults, f"segments[{i}]", name, 1, MAX_SEGMENT_BYTES)
    if not isinstance(user.consent, bool):
        fault = f"must be true or false, not {json_type(user.consent)}"
        faults.append(FieldFault("consent", fault))
    return tuple(faults)


_FRAME = 64
"""More than `encode_user` adds to a record that leaves something out: a user that was read must be
fit to be written, as snapshots do."""
