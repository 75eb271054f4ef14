"""What writers and readers of `SessionRecord` agree on, beside its proto file."""

from __future__ import annotations

from nextclick.v1 import session_pb2
from nextclick.v1.session_pb2 import SessionRecord

MAX_STEPS = 50
"""Steps that a record keeps."""

MAX_HIDDEN_ITEMS = 50
"""Disliked items that a record keeps."""

EVENT_TYPES: dict[str, session_pb2.EventType] = {
    "view": session_pb2.EVENT_TYPE_VIEW,
    "click": session_pb2.EVENT_TYPE_CLICK,
    "play": session_pb2.EVENT_TYPE_PLAY,
    "add_to_cart": session_pb2.EVENT_TYPE_ADD_TO_CART,
    "like": session_pb2.EVENT_TYPE_LIKE,
    "purchase": session_pb2.EVENT_TYPE_PURCHASE,
    "rating": session_pb2.EVENT_TYPE_RATING,
    "dislike": session_pb2.EVENT_TYPE_DISLIKE,
}
"""Types by their name on the wire; other names are accepted, counted and not learned."""

_STRENGTH = {
    session_pb2.EVENT_TYPE_ADD_TO_CART: 1,
    session_pb2.EVENT_TYPE_LIKE: 2,
    session_pb2.EVENT_TYPE_PURCHASE: 3,
}


def stronger(a: session_pb2.EventType, b: session_pb2.EventType) -> session_pb2.EventType:
    """Return the type that says more about the visitor; the first one if they tie."""
    return b if _STRENGTH.get(b, 0) > _STRENGTH.get(a, 0) else a


def parse_session(raw: bytes) -> SessionRecord:
    """Return the record of a Kafka value of `sessions`, or of a Redis value.

    Raises
    ------
    google.protobuf.message.DecodeError
        If the bytes are no record.
    """
    return SessionRecord.FromString(raw)


def serialise_session(record: SessionRecord) -> bytes:
    """Return the bytes of a record: the same ones for the same record, in every process."""
    return bytes(record.SerializeToString(deterministic=True))
