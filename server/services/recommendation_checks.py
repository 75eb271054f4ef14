"""Validation of requests: everything that is wrong with a request is reported at once.

Of a list with invalid entries, the first one is reported.
"""

from __future__ import annotations

from collections.abc import Sequence

from nextclick.checks import first_too_long
from nextclick.context import MOST_BYTES
from nextclick.errors import FieldFault
from nextclick.limits import (
    DEFAULT_PAGE,
    MAX_BATCH_REQUESTS,
    MAX_CATEGORY_BYTES,
    MAX_EXCLUDED_ITEMS,
    MAX_FILTER_CATEGORIES,
    MAX_FILTER_KINDS,
    MAX_ID_BYTES,
    MAX_KIND_BYTES,
    MAX_PAGE,
    MAX_PURCHASED_DAYS,
    MAX_RANKED_ITEMS,
    SESSION_STEPS,
)
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import session_pb2
from server.errors import RequestError
from server.services.conditions import condition_faults
from server.services.requests import parsed_entries


def page(size: int) -> int:
    """Return the size of a page: 0 means 20."""
    return size or DEFAULT_PAGE


def check_recommend(request: pb.RecommendRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = _visitor(request.session_id, request.user_id, request.session_items)
    faults += _page(request.page_size)
    if request.HasField("filter"):
        faults += _filter(request.filter)
    if request.HasField("context"):
        faults += _context(request.context)
    _finish(faults)


def parsed_batch(raw: bytes) -> list[pb.RecommendRequest]:
    """Return the valid requests of a BatchRecommendRequest, parsed one by one.

    Raises
    ------
    RequestError
        If there are none or too many; or with all faults of the first invalid one, and its place.
    DecodeError
        If it is not such a message.
    """
    requests: list[pb.RecommendRequest] = []
    for request in parsed_entries(pb.RecommendRequest, raw, "requests", MAX_BATCH_REQUESTS):
        try:
            check_recommend(request)
        except RequestError as e:
            place = f"requests[{len(requests)}]"
            faults = [FieldFault(f"{place}.{f.field}", f.description) for f in e.faults]
            raise RequestError("", faults) from None
        requests.append(request)
    return requests


def check_rank(request: pb.RankRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = _visitor(request.session_id, request.user_id, request.session_items)
    n = len(request.item_ids)
    if not 1 <= n <= MAX_RANKED_ITEMS:
        faults.append(FieldFault("item_ids", f"has {n} items; send 1 to {MAX_RANKED_ITEMS}"))
    else:
        faults += _all("item_ids", request.item_ids)
    if request.HasField("context"):
        faults += _context(request.context)
    _finish(faults)


def check_similar(request: pb.SimilarItemsRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = []
    if not request.item_id:
        faults.append(FieldFault("item_id", "is missing; send the item to compare with"))
    if request.by not in pb.Similarity.values():
        wrong = f"is {request.by}; send one of {', '.join(pb.Similarity.keys()[1:])}"
        faults.append(FieldFault("by", wrong))
    _finish(faults + _id("item_id", request.item_id) + _page(request.page_size)
            + _filter(request.filter))  # fmt: skip


def check_trending(request: pb.TrendingRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    _finish(_page(request.page_size) + _filter(request.filter))


def _finish(faults: list[FieldFault]) -> None:
    if faults:
        raise RequestError("", faults)


def _visitor(session_id: str, user_id: str, items: Sequence[str]) -> list[FieldFault]:
    faults = _id("session_id", session_id) + _id("user_id", user_id)
    if not session_id and not user_id:
        faults.append(FieldFault("session_id", "send session_id, or user_id for a signed-in user"))
    if len(items) <= SESSION_STEPS:
        return faults + _all("session_items", items)
    fault = f"has {len(items)} items; send the last {SESSION_STEPS} at most"
    return [*faults, FieldFault("session_items", fault)]


def _all(name: str, values: Sequence[str], most: int = MAX_ID_BYTES) -> list[FieldFault]:
    """Return the fault of the first value of a list that is too long."""
    i = first_too_long(values, most)
    return [] if i is None else _id(f"{name}[{i}]", values[i], most)


def _id(name: str, value: str, most: int = MAX_ID_BYTES) -> list[FieldFault]:
    if first_too_long((value,), most) is None:
        return []
    return [FieldFault(name, f"has {len(value.encode())} bytes; send 1 to {most}")]


def _context(context: session_pb2.Context) -> list[FieldFault]:
    faults: list[FieldFault] = []
    for name, most in MOST_BYTES.items():
        faults += _id(f"context.{name}", getattr(context, name), most)
    return faults


def _page(size: int) -> list[FieldFault]:
    if size <= MAX_PAGE:
        return []
    return [FieldFault("page_size", f"is {size}; ask for {MAX_PAGE} items at most")]


def _filter(item_filter: pb.ItemFilter) -> list[FieldFault]:
    faults = []
    n, m = len(item_filter.categories), len(item_filter.excluded_item_ids)
    if n > MAX_FILTER_CATEGORIES:
        faults.append(
            FieldFault(
                "filter.categories", f"has {n} categories; send {MAX_FILTER_CATEGORIES} at most"
            )
        )
    else:
        faults += _all("filter.categories", item_filter.categories, MAX_CATEGORY_BYTES)
    if m > MAX_EXCLUDED_ITEMS:
        faults.append(
            FieldFault(
                "filter.excluded_item_ids", f"has {m} items; send {MAX_EXCLUDED_ITEMS} at most"
            )
        )
    else:
        faults += _all("filter.excluded_item_ids", item_filter.excluded_item_ids)
    if item_filter.purchased_within_days > MAX_PURCHASED_DAYS:
        fault = f"is {item_filter.purchased_within_days}; send 0 to {MAX_PURCHASED_DAYS}"
        faults.append(FieldFault("filter.purchased_within_days", fault))
    kinds = len(item_filter.kinds)
    if kinds > MAX_FILTER_KINDS:
        fault = f"has {kinds} kinds; send {MAX_FILTER_KINDS} at most"
        faults.append(FieldFault("filter.kinds", fault))
    else:
        faults += _all("filter.kinds", item_filter.kinds, MAX_KIND_BYTES)
    if item_filter.HasField("condition"):
        faults += condition_faults("filter.condition", item_filter.condition)
    return faults
