"""Validation of requests: everything that is wrong with a request is reported at once."""

from __future__ import annotations

from collections.abc import Sequence

from nextclick.errors import FieldFault
from nextclick.limits import (
    DEFAULT_PAGE,
    MAX_BATCH_REQUESTS,
    MAX_EXCLUDED_ITEMS,
    MAX_FILTER_CATEGORIES,
    MAX_ID_BYTES,
    MAX_PAGE,
    MAX_RANKED_ITEMS,
    SESSION_STEPS,
)
from nextclick.v1 import recommendation_service_pb2 as pb
from server.errors import RequestError


def page(size: int) -> int:
    """Return the size of a page: 0 means 20."""
    return size or DEFAULT_PAGE


def check_recommend(request: pb.RecommendRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = _visitor(request.session_id, request.user_id, request.session_items)
    faults += _page(request.page_size)
    if request.HasField("filter"):
        faults += _filter(request.filter)
    _finish(faults)


def check_batch(request: pb.BatchRecommendRequest) -> None:
    """Raise `RequestError` with all faults of the first invalid request, and its place."""
    n = len(request.requests)
    if not 1 <= n <= MAX_BATCH_REQUESTS:
        raise RequestError("", [FieldFault("requests", f"has {n}; send 1 to {MAX_BATCH_REQUESTS}")])
    for i, one in enumerate(request.requests):
        try:
            check_recommend(one)
        except RequestError as e:
            faults = [FieldFault(f"requests[{i}].{f.field}", f.description) for f in e.faults]
            raise RequestError("", faults) from None


def check_rank(request: pb.RankRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = _visitor(request.session_id, request.user_id, request.session_items)
    n = len(request.item_ids)
    if not 1 <= n <= MAX_RANKED_ITEMS:
        faults.append(FieldFault("item_ids", f"has {n} items; send 1 to {MAX_RANKED_ITEMS}"))
    _finish(faults)


def check_similar(request: pb.SimilarItemsRequest) -> None:
    """Raise `RequestError` with all faults of a request."""
    faults = []
    if not request.item_id:
        faults.append(FieldFault("item_id", "is missing; send the item to compare with"))
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
    if len(items) > SESSION_STEPS:
        faults.append(
            FieldFault(
                "session_items",
                f"has {len(items)} items; send the last {SESSION_STEPS} at most",
            )
        )
    return faults


def _id(name: str, value: str) -> list[FieldFault]:
    if len(value) * 4 <= MAX_ID_BYTES or len(value.encode()) <= MAX_ID_BYTES:
        return []
    return [FieldFault(name, f"has {len(value.encode())} bytes; send 1 to {MAX_ID_BYTES}")]


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
    if m > MAX_EXCLUDED_ITEMS:
        faults.append(
            FieldFault(
                "filter.excluded_item_ids", f"has {m} items; send {MAX_EXCLUDED_ITEMS} at most"
            )
        )
    return faults
