"""What a backend needs to talk to nextclick: the client, the event codec, topic names.

``import nextclick`` does not import grpc; asking for `Client` or `AsyncClient` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextclick.codec import (
    Event,
    InvalidEventError,
    Item,
    decode_event,
    decode_item,
    encode_event,
    encode_item,
)
from nextclick.errors import NextclickError

if TYPE_CHECKING:
    from nextclick.aio import AsyncClient
    from nextclick.client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "InvalidEventError",
    "Item",
    "NextclickError",
    "decode_event",
    "decode_item",
    "encode_event",
    "encode_item",
]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from nextclick.client import Client  # noqa: PLC0415 - grpc only when asked for

        return Client
    if name == "AsyncClient":
        from nextclick.aio import AsyncClient  # noqa: PLC0415 - grpc only when asked for

        return AsyncClient
    raise AttributeError(f"module 'nextclick' has no attribute {name!r}")
