"""The calls that both clients make: how a request is built and what its answer becomes.

A `Call` neither waits nor knows whether its client is blocking or asynchronous.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from nextclick.codec import Item, item_faults
from nextclick.convert import item_from_proto, item_to_proto
from nextclick.errors import FieldFault, InvalidRequestError
from nextclick.results import Filter, Reason, Recommendation, RecommendedItem
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import catalog_service_pb2_grpc as catalog_grpc
from nextclick.v1 import event_service_pb2_grpc as event_grpc
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import recommendation_service_pb2_grpc as recommendation_grpc

T = TypeVar("T")

CHANNEL_OPTIONS = (
    # By default a refused connection is tried again after a second, then later and later: the
    # first calls to a server that is back would fail. (min_reconnect_backoff_ms is not among
    # these: it would cut short slow connections.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    # The server is a neighbour: a proxy for the way out would only be in the way.
    ("grpc.enable_http_proxy", 0),
)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Return what each call carries: the server's token, if there is one."""
    return (("authorization", f"Bearer {token}"),) if token else ()


class Stubs:
    """The three services on one channel, blocking or asynchronous."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        # grpc generates stubs without types.
        recommendations: Any = recommendation_grpc.RecommendationServiceStub
        events: Any = event_grpc.EventServiceStub
        catalog: Any = catalog_grpc.CatalogServiceStub
        self.recommendations = recommendations(channel)
        self.events = events(channel)
        self.catalog = catalog(channel)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, the method that it goes to, and what its response becomes."""

    method: Callable[[Stubs], Any]
    request: Any
    parse: Callable[[Any], T]


def recommend(
    session_id: str,
    user_id: str,
    page_size: int,
    session_items: Sequence[str],
    flt: Filter | None,
    explain: bool,
) -> Call[Recommendation]:
    """Return the call for what a visitor will want next."""
    request = _build(
        pb.RecommendRequest,
        session_id=session_id,
        user_id=user_id,
        page_size=page_size,
        session_items=session_items,
        filter=_filter(flt),
        explain=explain,
    )
    return Call(lambda stubs: stubs.recommendations.Recommend, request, _recommendation)


def recommend_batch(
    session_ids: Sequence[str], page_size: int, flt: Filter | None
) -> Call[list[Recommendation]]:
    """Return the call for what several visitors will want next."""
    one = {"page_size": page_size, "filter": _filter(flt)}
    request = pb.BatchRecommendRequest(
        requests=[_build(pb.RecommendRequest, session_id=name, **one) for name in session_ids]
    )
    return Call(
        lambda stubs: stubs.recommendations.BatchRecommend,
        request,
        lambda reply: [_recommendation(response) for response in reply.responses],
    )


def rank(
    item_ids: Sequence[str], session_id: str, user_id: str, session_items: Sequence[str]
) -> Call[Recommendation]:
    """Return the call that orders the caller's own items."""
    request = _build(
        pb.RankRequest,
        session_id=session_id,
        user_id=user_id,
        item_ids=item_ids,
        session_items=session_items,
    )
    return Call(lambda stubs: stubs.recommendations.Rank, request, _ranking)


def similar_items(item_id: str, page_size: int, flt: Filter | None) -> Call[Recommendation]:
    """Return the call for the neighbours of an item."""
    request = _build(
        pb.SimilarItemsRequest, item_id=item_id, page_size=page_size, filter=_filter(flt)
    )
    return Call(lambda stubs: stubs.recommendations.SimilarItems, request, _listing)


def trending(page_size: int, flt: Filter | None) -> Call[Recommendation]:
    """Return the call for what grows now."""
    request = _build(pb.TrendingRequest, page_size=page_size, filter=_filter(flt))
    return Call(lambda stubs: stubs.recommendations.Trending, request, _listing)


def put_items(items: Sequence[Item]) -> Call[int]:
    """Return the call that adds or replaces items; refuses faulty ones, all faults at once."""
    faults = []
    for place, item in enumerate(items):
        faults += [
            FieldFault(f"items[{place}].{f.field}", f.description) for f in item_faults(item)
        ]
        if item.deleted:
            faults.append(FieldFault(f"items[{place}].deleted", "use delete_items for these"))
    if faults:
        raise InvalidRequestError("faulty items", tuple(faults))
    request = catalog_pb.PutItemsRequest(items=[item_to_proto(item) for item in items])
    return Call(lambda stubs: stubs.catalog.PutItems, request, _accepted)


def get_items(item_ids: Sequence[str]) -> Call[list[Item]]:
    """Return the call for what the catalogue knows of items."""
    request = _build(catalog_pb.GetItemsRequest, item_ids=item_ids)
    return Call(lambda stubs: stubs.catalog.GetItems, request, _items)


def delete_items(item_ids: Sequence[str]) -> Call[int]:
    """Return the call that deletes items."""
    request = _build(catalog_pb.DeleteItemsRequest, item_ids=item_ids)
    return Call(lambda stubs: stubs.catalog.DeleteItems, request, _accepted)


_LISTS = {"item_ids", "session_items", "categories", "excluded_item_ids"}


def _build(request_type: type[Any], **fields: Any) -> Any:
    for name, value in fields.items():
        if isinstance(value, str) and name in _LISTS:
            # protobuf would take a string for a list of its letters.
            raise InvalidRequestError("", (FieldFault(name, "must be a list of ids, not one"),))
    try:
        return request_type(**fields)
    except (TypeError, ValueError) as error:
        # Wrong types, lone surrogates, negative sizes: protobuf says what, not where.
        name = request_type.DESCRIPTOR.name
        raise InvalidRequestError(f"{name}: {error}; correct the arguments") from error


def _filter(flt: Filter | None) -> pb.ItemFilter | None:
    if flt is None:
        return None
    fields = {f.name: getattr(flt, f.name) for f in dataclasses.fields(flt)}
    message: pb.ItemFilter = _build(pb.ItemFilter, **fields)
    return message


def _recommendation(response: pb.RecommendResponse) -> Recommendation:
    return Recommendation(
        items=_scored(response.items),
        recommendation_id=response.recommendation_id,
        session_version=response.session_version,
        model_version=response.model_version,
        model_lag_ms=response.model_lag_ms,
        degraded=_degraded(response.degraded),
        source=_name(pb.AnswerSource, response.source, "ANSWER_SOURCE_"),
        timings={t.stage: t.duration_us for t in response.timings},
    )


def _ranking(response: pb.RankResponse) -> Recommendation:
    return Recommendation(
        items=_scored(response.items),
        recommendation_id=response.recommendation_id,
        session_version=response.session_version,
        model_version=response.model_version,
        degraded=_degraded(response.degraded),
    )


def _listing(response: pb.SimilarItemsResponse | pb.TrendingResponse) -> Recommendation:
    return Recommendation(_scored(response.items), model_version=response.model_version)


def _scored(items: Sequence[pb.ScoredItem]) -> tuple[RecommendedItem, ...]:
    return tuple(
        RecommendedItem(
            item.item_id,
            item.score,
            tuple(Reason(r.source, r.share, tuple(r.because_item_ids)) for r in item.reasons),
        )
        for item in items
    )


def _degraded(reasons: Sequence[int]) -> tuple[str, ...]:
    return tuple(_name(pb.DegradedReason, reason, "DEGRADED_REASON_") for reason in reasons)


def _name(enum: Any, value: int, prefix: str) -> str:
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower()
    except ValueError:  # a newer server knows more of them
        return str(value)


def _accepted(response: catalog_pb.PutItemsResponse | catalog_pb.DeleteItemsResponse) -> int:
    return response.accepted


def _items(response: catalog_pb.GetItemsResponse) -> list[Item]:
    return [item_from_proto(item) for item in response.items]
