"""What a backend needs to talk to nextclick: the clients, the event codec, topic names.

``import nextclick`` imports neither grpc nor protobuf (Flink jobs want the codec alone); asking
for `Client`, `AsyncClient`, `Tls` or `with_event_ids` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nextclick.codec import (
    DeadLetterReason,
    Event,
    InvalidEventError,
    Item,
    decode_event,
    decode_item,
    encode_event,
    encode_item,
)
from nextclick.context import Context
from nextclick.errors import (
    DeadlineExceededError,
    FieldFault,
    InvalidRequestError,
    NextclickError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)
from nextclick.profiles import Profile, ProfileItem
from nextclick.requests import Filter, RecommendRequest, Similarity
from nextclick.results import (
    EventError,
    Feature,
    FeatureValues,
    FeatureVector,
    Model,
    PutResult,
    Reason,
    Recommendation,
    RecommendedItem,
)
from nextclick.users import User, decode_user, encode_user

if TYPE_CHECKING:
    from nextclick.aio import AsyncClient
    from nextclick.batch import with_event_ids
    from nextclick.client import Client
    from nextclick.tls import Tls

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "DeadLetterReason",
    "DeadlineExceededError",
    "Event",
    "EventError",
    "Feature",
    "FeatureValues",
    "FeatureVector",
    "FieldFault",
    "Filter",
    "InvalidEventError",
    "InvalidRequestError",
    "Item",
    "Model",
    "NextclickError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "Profile",
    "ProfileItem",
    "PutResult",
    "Reason",
    "RecommendRequest",
    "Recommendation",
    "RecommendedItem",
    "ServerError",
    "Similarity",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "User",
    "decode_event",
    "decode_item",
    "decode_user",
    "encode_event",
    "encode_item",
    "encode_user",
    "with_event_ids",
]

_LAZY = {
    "AsyncClient": "nextclick.aio",
    "Client": "nextclick.client",
    "Tls": "nextclick.tls",
    "with_event_ids": "nextclick.batch",
}


if not TYPE_CHECKING:  # type checkers would believe in any name

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return getattr(import_module(_LAZY[name]), name)
        raise AttributeError(f"module 'nextclick' has no attribute {name!r}")
