"""JSON records: how one is parsed and written, and the error that names its faults."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson

from nextclick.checks import json_type
from nextclick.errors import FieldFault, NextclickError, listed
from nextclick.limits import MAX_RECORD_BYTES

VERSION = 1


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
    """An event, item or user that breaks the contract.

    Parameters
    ----------
    reason
        The kind of fault, as in the dead letter's header.
    faults
        All faults at once, by field.
    """

    status = "INVALID_ARGUMENT"

    def __init__(self, reason: DeadLetterReason, faults: tuple[FieldFault, ...]) -> None:
        self.reason = reason
        self.faults = faults
        super().__init__(listed(faults))


def parse_record(raw: bytes | None) -> dict[str, Any]:
    """Return the fields of a record, those that are null left out.

    Raises
    ------
    InvalidEventError
        If it is no JSON object of this version, or too large.
    """
    raw = raw or b""  # Kafka gives None for a tombstone
    if len(raw) > MAX_RECORD_BYTES:
        raise _fault(DeadLetterReason.TOO_LARGE, "record", _too_large(len(raw)))
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise _fault(DeadLetterReason.MALFORMED_JSON, "record", f"is not JSON: {e}") from None
    if not isinstance(record, dict):
        wrong = f"must be a JSON object, not {json_type(record)}"
        raise _fault(DeadLetterReason.MALFORMED_JSON, "record", wrong)
    version = record.get("v")
    if version != VERSION or type(version) is not int:
        wrong = f"must be {VERSION}, the version of this format"
        raise _fault(DeadLetterReason.UNSUPPORTED_VERSION, "v", wrong)
    if None in record.values():
        return {name: value for name, value in record.items() if value is not None}
    return record


def dump_record(record: dict[str, Any]) -> bytes:
    """Return a record as bytes.

    Raises
    ------
    InvalidEventError
        If it is too large.
    """
    raw = orjson.dumps(record)
    if len(raw) > MAX_RECORD_BYTES:
        raise _fault(DeadLetterReason.TOO_LARGE, "record", _too_large(len(raw)))
    return raw


def raise_faults(faults: tuple[FieldFault, ...]) -> None:
    """Raise `InvalidEventError` if there are any."""
    if faults:
        raise InvalidEventError(DeadLetterReason.INVALID_FIELD, faults)


def _fault(reason: DeadLetterReason, name: str, wrong: str) -> InvalidEventError:
    return InvalidEventError(reason, (FieldFault(name, wrong),))


def _too_large(size: int) -> str:
    return f"has {size} bytes of JSON; send at most {MAX_RECORD_BYTES}"
