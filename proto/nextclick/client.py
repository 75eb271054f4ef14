"""The blocking client of a backend service."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import grpc

from nextclick import calls
from nextclick.batch import Batch
from nextclick.codec import Event, Item
from nextclick.errors import NextclickError
from nextclick.results import Filter, PutResult, Recommendation
from nextclick.retry import Attempts, retryable, translate

T = TypeVar("T")


class Client:
    """Asks for recommendations and sends events; safe to share between threads.

    Every call raises one of the errors in `nextclick.errors`: `InvalidRequestError` for faulty
    arguments, `UnavailableError` and `DeadlineExceededError` where there is no answer in time,
    `OverloadedError` and `ServerError` as the server says.

    Parameters
    ----------
    target
        ``host:port`` of a server.
    timeout_s
        Deadline of a call, its retries included; seconds.
    retries
        Further attempts while the server is unavailable, with exponential backoff.
    token
        What the server was given as its token, if it asks for one.
    """

    def __init__(
        self, target: str, *, timeout_s: float = 1.0, retries: int = 3, token: str = ""
    ) -> None:
        self._channel = grpc.insecure_channel(target, calls.CHANNEL_OPTIONS)
        self._stubs = calls.Stubs(self._channel)
        self._metadata = calls.metadata(token)
        self._timeout_s = timeout_s
        self._retries = retries

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

        Parameters
        ----------
        session_id, user_id
            The visitor: the session, or a signed-in user without one.
        page_size
            How many items, 1..500; 0 means 20.
        session_items
            The tail of the session as you saw it, oldest first, at most 50: the answer then
            includes clicks that are still on their way.
        filter
            Which items may be answered.
        explain
            Give reasons and timings; costs several times an ordinary answer.
        """
        return self._run(
            calls.recommend(session_id, user_id, page_size, session_items, filter, explain)
        )

    def recommend_batch(
        self,
        session_ids: Sequence[str],
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> list[Recommendation]:
        """Return what each of 1 to 256 visitors will likely turn to next, in one call."""
        return self._run(calls.recommend_batch(session_ids, page_size, filter))

    def rank(
        self,
        item_ids: Sequence[str],
        session_id: str = "",
        *,
        user_id: str = "",
        session_items: Sequence[str] = (),
    ) -> Recommendation:
        """Return 1 to 500 given items in the order that suits this visitor."""
        return self._run(calls.rank(item_ids, session_id, user_id, session_items))

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
        return self._run(calls.similar_items(item_id, page_size, filter))

    def trending(
        self,
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the items whose popularity grows fastest now."""
        return self._run(calls.trending(page_size, filter))

    def put_events(self, events: Sequence[Event]) -> PutResult:
        """Send 1 to 1,000 events; returns when the broker has acknowledged them.

        Events without an event_id get one before the first attempt, so that a retry never
        counts twice. Faulty events, and those that the broker did not take in time, are in the
        result's ``errors``; the others are taken. If it raises, none is known to be taken: to
        send the same events again, give them ids first (`nextclick.with_event_ids`).
        """
        batch = Batch(events)
        attempts = Attempts(self._timeout_s, self._retries)
        while request := batch.request():
            try:
                response = self._attempt(self._stubs.events.PutEvents, request, attempts)
            except NextclickError as error:
                batch.give_up(error)
                break
            if batch.take(response):
                pause = attempts.pause()
                if pause is None:
                    batch.give_up()
                    break
                time.sleep(pause)
        return batch.result()

    def put_items(self, items: Sequence[Item]) -> int:
        """Add or replace 1 to 1,000 catalogue items; returns how many were acknowledged."""
        return self._run(calls.put_items(items))

    def get_items(self, item_ids: Sequence[str]) -> list[Item]:
        """Return what the catalogue knows of the given items; unknown ones are left out."""
        return self._run(calls.get_items(item_ids))

    def delete_items(self, item_ids: Sequence[str]) -> int:
        """Delete 1 to 1,000 items; returns how many deletions were acknowledged."""
        return self._run(calls.delete_items(item_ids))

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: calls.Call[T]) -> T:
        attempts = Attempts(self._timeout_s, self._retries)
        return call.parse(self._attempt(call.method(self._stubs), call.request, attempts))

    def _attempt(self, method: Any, request: Any, attempts: Attempts) -> Any:
        while True:
            try:
                return method(request, timeout=attempts.timeout(), metadata=self._metadata)
            except grpc.RpcError as error:
                pause = attempts.pause() if retryable(error) else None
                if pause is None:
                    raise translate(error) from error
                time.sleep(pause)
