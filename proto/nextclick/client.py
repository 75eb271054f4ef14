"""The blocking client of a backend service."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import grpc

from nextclick import results
from nextclick.codec import Event, Item
from nextclick.convert import item_from_proto, item_to_proto
from nextclick.results import Filter, PutResult, Recommendation
from nextclick.retry import Attempts, retryable, translate
from nextclick.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    event_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
)


class Client:
    """Asks for recommendations and sends events; safe to share between threads.

    Parameters
    ----------
    target
        ``host:port`` of a server.
    timeout_s
        Deadline of a call, its retries included.
    retries
        Further attempts while the server cannot be reached.
    """

    def __init__(self, target: str, *, timeout_s: float = 1.0, retries: int = 3) -> None:
        self._channel = grpc.insecure_channel(target)
        self._timeout_s = timeout_s
        self._retries = retries
        self._recommendations = recommendation_service_pb2_grpc.RecommendationServiceStub(
            self._channel
        )
        self._events = event_service_pb2_grpc.EventServiceStub(self._channel)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)

    def recommend(
        self,
        session_id: str = "",
        *,
        user_id: str = "",
        page_size: int = 0,
        session_items: Sequence[str] = (),
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
        explain: bool = False,
    ) -> Recommendation:
        """Return the items that this visitor will likely turn to next.

        Parameters are those of `RecommendRequest`; ``page_size`` 0 means 20.

        Raises
        ------
        InvalidRequestError, UnavailableError, DeadlineExceededError, OverloadedError
        """
        request = recommendation_service_pb2.RecommendRequest(
            session_id=session_id,
            user_id=user_id,
            page_size=page_size,
            session_items=session_items,
            filter=filter.to_proto() if filter else None,
            explain=explain,
        )
        return results.recommendation(self._call(self._recommendations.Recommend, request))

    def rank(
        self,
        item_ids: Sequence[str],
        session_id: str = "",
        *,
        user_id: str = "",
        session_items: Sequence[str] = (),
    ) -> Recommendation:
        """Return the given items in the order that suits this visitor."""
        request = recommendation_service_pb2.RankRequest(
            session_id=session_id, user_id=user_id, item_ids=item_ids, session_items=session_items
        )
        response = self._call(self._recommendations.Rank, request)
        return Recommendation(
            results.scored_items(response.items),
            response.recommendation_id,
            response.session_version,
            response.model_version,
            degraded=results.degraded(response.degraded),
        )

    def similar_items(
        self,
        item_id: str,
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the items that visitors of one item also turn to.

        Raises
        ------
        NotFoundError
            If neither the catalogue nor the models know the item.
        """
        request = recommendation_service_pb2.SimilarItemsRequest(
            item_id=item_id, page_size=page_size, filter=filter.to_proto() if filter else None
        )
        response = self._call(self._recommendations.SimilarItems, request)
        return Recommendation(
            results.scored_items(response.items), model_version=response.model_version
        )

    def trending(
        self,
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the items whose popularity grows fastest now."""
        request = recommendation_service_pb2.TrendingRequest(
            page_size=page_size, filter=filter.to_proto() if filter else None
        )
        response = self._call(self._recommendations.Trending, request)
        return Recommendation(
            results.scored_items(response.items), model_version=response.model_version
        )

    def put_events(self, events: Sequence[Event]) -> PutResult:
        """Send 1 to 1,000 events; returns when the broker has acknowledged them.

        Events without an event_id get one before the first attempt, so that a retry never
        counts twice. Faulty events are in the result's ``errors``; the others are taken.
        """
        batch = results.Batch(events)
        attempts = Attempts(self._timeout_s, self._retries)
        while request := batch.request():
            response = self._attempt(self._events.PutEvents, request, attempts)
            pause = attempts.pause() if batch.worth_retrying(response) else None
            batch.take(response, last=pause is None)
            if pause is not None:
                time.sleep(pause)
        return batch.result()

    def put_items(self, items: Sequence[Item]) -> int:
        """Add or replace 1 to 1,000 catalogue items; returns how many were acknowledged."""
        request = catalog_service_pb2.PutItemsRequest(items=[item_to_proto(i) for i in items])
        response = self._call(self._catalog.PutItems, request)
        return int(response.accepted)

    def get_items(self, item_ids: Sequence[str]) -> list[Item]:
        """Return the catalogue items that the server knows among the given ones."""
        request = catalog_service_pb2.GetItemsRequest(item_ids=item_ids)
        response = self._call(self._catalog.GetItems, request)
        return [item_from_proto(item) for item in response.items]

    def delete_items(self, item_ids: Sequence[str]) -> int:
        """Delete 1 to 1,000 items; returns how many deletions were acknowledged."""
        request = catalog_service_pb2.DeleteItemsRequest(item_ids=item_ids)
        response = self._call(self._catalog.DeleteItems, request)
        return int(response.accepted)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: Any, request: Any) -> Any:
        return self._attempt(method, request, Attempts(self._timeout_s, self._retries))

    def _attempt(self, method: Any, request: Any, attempts: Attempts) -> Any:
        while True:
            try:
                return method(request, timeout=attempts.timeout())
            except grpc.RpcError as error:
                pause = attempts.pause() if retryable(error) else None
                if pause is None:
                    raise translate(error) from error
                time.sleep(pause)
