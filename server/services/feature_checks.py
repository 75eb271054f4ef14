"""Validation of requests for features: everything that is wrong is reported at once."""

from __future__ import annotations

from nextclick.checks import first_too_long
from nextclick.errors import FieldFault
from nextclick.limits import MAX_FEATURE_ITEMS, MAX_FEATURE_NAMES, MAX_ID_BYTES
from nextclick.v1 import feature_service_pb2 as pb
from online_models.ranking.features.declared import BY_NAME
from server.errors import RequestError


def check_list(request: pb.ListFeaturesRequest) -> None:
    """Raise `RequestError` if a request names an entity that does not exist."""
    if request.entity not in pb.FeatureEntity.values():
        known = ", ".join(pb.FeatureEntity.keys()[1:])
        fault = f"is {request.entity}; send one of {known}, or nothing for all"
        raise RequestError("", [FieldFault("entity", fault)])


def check_get(request: pb.GetFeaturesRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = []
    for field, value in (("session_id", request.session_id), ("user_id", request.user_id)):
        faults += _id(field, value)
    if not (request.session_id or request.user_id or request.item_ids):
        fault = "is missing; send a session_id, a user_id or item_ids"
        faults.append(FieldFault("session_id", fault))
    faults += _items(request)
    faults += _names(request)
    if faults:
        raise RequestError("", faults)


def _items(request: pb.GetFeaturesRequest) -> list[FieldFault]:
    n = len(request.item_ids)
    if n > MAX_FEATURE_ITEMS:
        return [FieldFault("item_ids", f"has {n} items; send {MAX_FEATURE_ITEMS} at most")]
    for place, item_id in enumerate(request.item_ids):
        if not item_id:
            return [FieldFault(f"item_ids[{place}]", f"is missing; send 1 to {MAX_ID_BYTES} bytes")]
    long = first_too_long(request.item_ids, MAX_ID_BYTES)
    return [] if long is None else _id(f"item_ids[{long}]", request.item_ids[long])


def _names(request: pb.GetFeaturesRequest) -> list[FieldFault]:
    n = len(request.names)
    if n > MAX_FEATURE_NAMES:
        return [FieldFault("names", f"has {n} names; send {MAX_FEATURE_NAMES} at most")]
    for place, name in enumerate(request.names):
        if name not in BY_NAME:
            fault = "is the name of no feature; ListFeatures has all of them"
            return [FieldFault(f"names[{place}]", fault)]
    return []


def _id(field: str, value: str) -> list[FieldFault]:
    if first_too_long((value,), MAX_ID_BYTES) is None:
        return []
    return [FieldFault(field, f"has {len(value.encode())} bytes; send 1 to {MAX_ID_BYTES}")]
