"""The blocking client of a backend service."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

import grpc

from nextclick import calls, channel
from nextclick.batch import Batch
from nextclick.codec import Event, Item
from nextclick.context import Context
from nextclick.errors import NextclickError
from nextclick.hedging import first_answer
from nextclick.profiles import Profile
from nextclick.requests import Filter, RecommendRequest, Similarity
from nextclick.results import Feature, FeatureValues, Model, PutResult, Recommendation
from nextclick.retry import Attempts, retryable, translate
from nextclick.stream import Stream
from nextclick.tls import Tls
from nextclick.users import User

T = TypeVar("T")


class Client:
    """Asks for recommendations, sends events, keeps catalogue and users, and steers the models.

    Safe to share between threads. Every call raises one of the errors in `nextclick.errors`:
    `InvalidRequestError` for faulty arguments, or a token that is missing or lacks a scope,
    `UnavailableError` and `DeadlineExceededError` where there is no answer in time,
    `OverloadedError` and `ServerError` as the server says.

    Parameters
    ----------
    target
        ``host:port`` of the servers: one address, a name that DNS has all addresses for, or a list
        such as ``"10.0.0.1:50051,10.0.0.2:50051"``. Each call goes to the next of those that can
        be reached; those of a list have to be SERVING, too.
    timeout_s
        Deadline of a call, its retries included; seconds.
    retries
        Further attempts while a server is unavailable, with exponential backoff; each goes to the
        next server.
    token
        The caller's token, if the servers ask for one.
    hedge_after_s
        Where an answer has not come after so long, the next server is asked, too, and the first
        answer counts; seconds. Attempts are those of ``retries``. Only for calls that read; None:
        never.
    tls
        The files of connections over TLS; None: they are plain.

    Examples
    --------
    >>> from nextclick import Client, Event
    >>> with Client("localhost:50051", timeout_s=5.0) as client:
    ...     put = client.put_events([Event("view", "17116", 1_764_086_400_000, session_id="s1")])
    ...     answer = client.recommend("s1", page_size=2)
    >>> put.accepted
    1
    >>> answer.item_ids
    ('25', '38')
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = 1.0,
        retries: int = 5,
        token: str = "",
        hedge_after_s: float | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._metadata = channel.metadata(token)
        self._channel = channel.blocking(target, tls)
        self._stubs = channel.Stubs(self._channel)
        self._timeout_s = timeout_s
        self._retries = retries
        self._hedge_after_s = hedge_after_s

    def recommend(
        self,
        session_id: str = "",
        *,
        user_id: str = "",
        page_size: int = 0,
        session_items: Sequence[str] = (),
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
        explain: bool = False,
        context: Context | None = None,
    ) -> Recommendation:
        """Return the items that this visitor will likely click next.

        Parameters
        ----------
        session_id, user_id
            The visitor: the session, the signed-in user, or both. A user alone is answered for
            the current session.
        page_size
            How many items, 1..500; 0 means 20.
        session_items
            The tail of the session as you saw it, oldest first, at most 50: the answer then
            includes clicks that are still on their way.
        filter
            Which items may be answered.
        explain
            Give reasons, calibrated probabilities and timings; costs several times an ordinary
            answer.
        context
            Where the visitor is; what it does not say is that of the session's events.
        """
        request = RecommendRequest(
            session_id, user_id, page_size, session_items, filter, explain, context
        )
        return self._run(calls.recommend(request))

    def recommend_batch(
        self,
        requests: Sequence[str | RecommendRequest],
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> list[Recommendation]:
        """Return what each of 1 to 256 visitors will likely click next, in one call.

        Parameters
        ----------
        requests
            The visitors: session ids, or whole requests.
        page_size, filter
            For those given by their session id; a `RecommendRequest` has its own.

        Returns
        -------
        list
            One answer for each request, in their order. A fault of one is one of the whole call.
        """
        return self._run(calls.recommend_batch(requests, page_size, filter))

    def recommend_stream(
        self,
        requests: Iterable[str | RecommendRequest],
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Generator[Recommendation, None, None]:
        """Yield what one visitor after another will likely click next, over one stream.

        Parameters
        ----------
        requests
            As in `recommend_batch`, but any number, also made as you go. They are read ahead of
            the answers, on another thread.
        page_size, filter
            For those given by their session id; a `RecommendRequest` has its own.

        Yields
        ------
        Recommendation
            One answer for each request, in their order.

        Raises
        ------
        InvalidRequestError
            For a faulty request; it ends the stream, as any error does.
        DeadlineExceededError
            If you wait longer than ``timeout_s`` for the answer to a request that is on its way;
            the stream as a whole may take any time.

        Notes
        -----
        The call begins with the first answer that you ask for, and ends when you close the
        generator or drop it. It is never retried: after an error, ask again for what was not
        answered. With an error of the server, gRPC drops answers that you had not yet taken; one
        that ``requests`` raises reaches you as it is, after the answers to the requests before.
        """
        return self._stream(calls.recommend_stream(requests, page_size, filter), requests)

    def rank(
        self,
        item_ids: Sequence[str],
        session_id: str = "",
        *,
        user_id: str = "",
        session_items: Sequence[str] = (),
        context: Context | None = None,
    ) -> Recommendation:
        """Return 1 to 500 given items in the order that suits this visitor."""
        return self._run(calls.rank(item_ids, session_id, user_id, session_items, context))

    def similar_items(
        self,
        item_id: str,
        *,
        page_size: int = 0,
        by: Similarity = "behaviour",
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the neighbours of an item.

        Parameters
        ----------
        item_id
            The item.
        page_size
            How many items to answer with, 1..500; 0: 20.
        by
            ``"behaviour"``: items that visitors of the item also click. ``"content"``: items whose
            titles, descriptions, categories and attributes are alike. ``"mix"``: both, by the
            places in the two.
        filter
            Which items may be answered.

        Raises
        ------
        NotFoundError
            If neither the catalogue nor the models know the item.
        """
        return self._run(calls.similar_items(item_id, page_size, filter, by))

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
                self._wait(pause)
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

    def put_users(self, users: Sequence[User]) -> int:
        """Add or replace 1 to 1,000 users, whole; returns how many were acknowledged."""
        return self._run(calls.put_users(users))

    def get_users(self, user_ids: Sequence[str]) -> list[User]:
        """Return those of the given users that the replica which answers has in memory."""
        return self._run(calls.get_users(user_ids))

    def delete_users(self, user_ids: Sequence[str]) -> int:
        """Forget 1 to 1,000 users and their profiles; returns how many were acknowledged."""
        return self._run(calls.delete_users(user_ids))

    def get_profiles(self, user_ids: Sequence[str]) -> list[Profile]:
        """Return what 1 to 100 users did in earlier sessions, of those who have a profile."""
        return self._run(calls.get_profiles(user_ids))

    def list_models(self) -> list[Model]:
        """Return the models as the replica that answers has them."""
        return self._run(calls.list_models())

    def pause_learning(self, model: str) -> None:
        """Have ``"vectors"`` or ``"ranker"`` pass over its input: it never learns it later.

        Returns when the broker has acknowledged the command; `list_models` shows when it is done.
        """
        self._run(calls.pause_learning(model))

    def resume_learning(self, model: str) -> None:
        """Have ``"vectors"`` or ``"ranker"`` learn again; returns like `pause_learning`."""
        self._run(calls.resume_learning(model))

    def roll_back(self, model: str, version: int) -> None:
        """Roll ``"ranker"`` back to one of its kept versions; it continues to learn from there.

        Returns like `pause_learning`. The vectors keep no versions.
        """
        self._run(calls.roll_back(model, version))

    def list_features(self, entity: str = "") -> list[Feature]:
        """Return what the features mean, and where they come from.

        Parameters
        ----------
        entity
            Only those of one of ``"session"``, ``"item"``, ``"user"`` and ``"candidate"``; empty:
            all.
        """
        return self._run(calls.list_features(entity))

    def get_features(
        self,
        session_id: str = "",
        *,
        user_id: str = "",
        item_ids: Sequence[str] = (),
        names: Sequence[str] = (),
    ) -> FeatureValues:
        """Return values of features, as an answer would read them now.

        Parameters
        ----------
        session_id
            A session: its features, and those of ``item_ids`` as candidates of its answer.
        user_id
            A user: the features of its profile.
        item_ids
            At most 100 items; without a session, the features of the items themselves.
        names
            Only these features, at most 100; empty: all.
        """
        return self._run(calls.get_features(session_id, user_id, item_ids, names))

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: calls.Call[T]) -> T:
        attempts = Attempts(self._timeout_s, self._retries)
        method = call.method(self._stubs)
        if self._hedge_after_s is None or not call.reads:
            return call.parse(self._attempt(method, call.request, attempts))

        def begin() -> Any:
            left_s = attempts.timeout()
            return method.future(call.request, timeout=left_s, metadata=self._metadata)

        return call.parse(first_answer(begin, attempts, self._hedge_after_s, self._wait))

    def _wait(self, pause: float) -> None:
        channel.wait(self._channel, pause)

    def _attempt(self, method: Any, request: Any, attempts: Attempts) -> Any:
        while True:
            try:
                return method(request, timeout=attempts.timeout(), metadata=self._metadata)
            except grpc.RpcError as error:
                pause = attempts.pause() if retryable(error) else None
                if pause is None:
                    raise translate(error) from error
                self._wait(pause)

    def _stream(
        self, call: calls.StreamCall[T], requests: Iterable[Any]
    ) -> Generator[T, None, None]:
        stream = Stream(call, self._timeout_s)
        rpc = call.method(self._stubs)(stream.messages(requests), metadata=self._metadata)
        ended = threading.Event()
        threading.Thread(target=_watch, args=(stream, rpc, ended), daemon=True).start()
        try:
            stream.wait()
            for response in rpc:
                yield stream.take(response)
                stream.wait()
        except grpc.RpcError as error:
            stream.raise_if_overdue()
            raise translate(error) from error
        finally:
            ended.set()
            rpc.cancel()
        stream.end()


def _watch(stream: Stream[Any], rpc: Any, ended: threading.Event) -> None:
    while (left := stream.seconds_left()) > 0:
        if ended.wait(left):
            return
    rpc.cancel()
