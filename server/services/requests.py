"""Parsing of serialised requests, in bounded time: what parses one keeps all answers waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]
from google.protobuf.message import DecodeError, Message

from nextclick.errors import FieldFault
from nextclick.limits import MAX_REQUEST_BYTES
from server.errors import RequestError

AnyMessage = TypeVar("AnyMessage", bound=Message)

_ENTRY = b"\x0a"
"""The tag of field 1, which is the list of every request that is a list."""


def parsed(kind: type[AnyMessage], raw: bytes) -> AnyMessage:
    """Return the message of a request, or of an entry of one; refuse one that takes too long.

    Raises
    ------
    RequestError
        If it has more than `MAX_REQUEST_BYTES`.
    DecodeError
        If it is not such a message.
    """
    if len(raw) > MAX_REQUEST_BYTES:
        raise RequestError(
            f"the {kind.DESCRIPTOR.name} has {len(raw)} bytes; send at most {MAX_REQUEST_BYTES}"
        )
    return kind.FromString(raw)


def parsed_entries(
    kind: type[AnyMessage], raw: bytes, field: str, most: int
) -> Iterator[AnyMessage]:
    """Yield the messages of a request that is a list, parsed one by one.

    Parameters
    ----------
    kind
        The class of an entry.
    raw, field, most
        See `entries`.

    Raises
    ------
    RequestError
        As `entries` does; or, with its place, for an entry of more than `MAX_REQUEST_BYTES`.
    DecodeError
        As `entries` does, or if an entry is not such a message.
    """
    for i, entry in enumerate(entries(raw, field, most)):
        try:
            message = parsed(kind, entry)
        except RequestError as e:
            raise RequestError("", [FieldFault(f"{field}[{i}]", e.message)]) from None
        yield message


def entries(raw: bytes, field: str, most: int) -> list[bytes]:
    """Return the serialised entries of a request that is a list: 1 to ``most`` of them.

    Parameters
    ----------
    raw
        A serialised message whose one field, of number 1, is a list of messages or texts.
    field
        The name of that field.
    most
        The most entries; what follows the first one beyond them is not read.

    Raises
    ------
    RequestError
        If there are none or too many.
    DecodeError
        If it is not such a message.
    """
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) <= most:
        if raw[at : at + 1] != _ENTRY:
            raise DecodeError(f"there is more than {field}")
        try:
            size, at = _DecodeVarint32(raw, at + 1)
        except IndexError:
            raise DecodeError("the length of an entry is cut off") from None
        if at + size > len(raw):
            raise DecodeError("an entry is cut off")
        found.append(raw[at : at + size])
        at += size
    if not 1 <= len(found) <= most:
        number = "more" if found else 0
        raise RequestError("", [FieldFault(field, f"has {number}; send 1 to {most} in one call")])
    return found
