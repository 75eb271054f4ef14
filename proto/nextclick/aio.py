"""The asyncio client of a backend service: the methods of `Client`, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from typing import Any, TypeVar

import grpc
import grpc.aio

from nextclick import calls, channel
from nextclick.batch import Batch
from nextclick.codec import Event, Item
from nextclick.context import Context
from nextclick.errors import NextclickError
from nextclick.hedging import first_answer_async
from nextclick.profiles import Profile
from nextclick.requests import Filter, RecommendRequest, Similarity
from nextclick.results import Feature, FeatureValues, Model, PutResult, Recommendation
from nextclick.retry import Attempts, retryable, translate
from nextclick.stream import Stream
from nextclick.tls import Tls
from nextclick.users import User

T = TypeVar("T")


class AsyncClient:
    """The methods of `nextclick.Client`, with the same parameters, results and errors.

    Use it within one event loop.

    Examples
    --------
    >>> import asyncio
    >>> from nextclick import AsyncClient
    >>> async def main() -> tuple[str, ...]:
    ...     async with AsyncClient("localhost:50051", timeout_s=5.0) as client:
    ...         return (await client.recommend("s1", page_size=2)).item_ids
    >>> asyncio.run(main())
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
        self._channel = channel.asynchronous(target, tls)
        self._stubs = channel.Stubs(self._channel)
        self._timeout_s = timeout_s
        self._retries = retries
        self._hedge_after_s = hedge_after_s

    async def recommend(
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
        """Return the items that this visitor will likely click next."""
        request = RecommendRequest(
            session_id, user_id, page_size, session_items, filter, explain, context
        )
        return await self._run(calls.recommend(request))

    async def recommend_batch(
        self,
        requests: Sequence[str | RecommendRequest],
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> list[Recommendation]:
        """Return what each of 1 to 256 visitors will likely click next, in one call."""
        return await self._run(calls.recommend_batch(requests, page_size, filter))

    def recommend_stream(
        self,
        requests: Iterable[str | RecommendRequest] | AsyncIterable[str | RecommendRequest],
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> AsyncGenerator[Recommendation, None]:
        """Yield what one visitor after another will likely click next, over one stream.

        See `nextclick.Client.recommend_stream`. The requests may be an asynchronous iterable;
        they are read ahead of the answers, in a task of its own. If you leave the loop early,
        close the generator (`contextlib.aclosing`), which ends the call.
        """
        return self._stream(calls.recommend_stream(requests, page_size, filter), requests)

    async def rank(
        self,
        item_ids: Sequence[str],
        session_id: str = "",
        *,
        user_id: str = "",
        session_items: Sequence[str] = (),
        context: Context | None = None,
    ) -> Recommendation:
        """Return 1 to 500 given items in the order that suits this visitor."""
        return await self._run(calls.rank(item_ids, session_id, user_id, session_items, context))

    async def similar_items(
        self,
        item_id: str,
        *,
        page_size: int = 0,
        by: Similarity = "behaviour",
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the neighbours of an item; see `Client.similar_items`."""
        return await self._run(calls.similar_items(item_id, page_size, filter, by))

    async def trending(
        self,
        *,
        page_size: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the field's name on the wire
    ) -> Recommendation:
        """Return the items whose popularity grows fastest now."""
        return await self._run(calls.trending(page_size, filter))

    async def put_events(self, events: Sequence[Event]) -> PutResult:
        """Send 1 to 1,000 events; see `nextclick.Client.put_events`."""
        batch = Batch(events)
        attempts = Attempts(self._timeout_s, self._retries)
        while request := batch.request():
            try:
                response = await self._attempt(self._stubs.events.PutEvents, request, attempts)
            except NextclickError as error:
                batch.give_up(error)
                break
            if batch.take(response):
                pause = attempts.pause()
                if pause is None:
                    batch.give_up()
                    break
                await asyncio.sleep(pause)
        return batch.result()

    async def put_items(self, items: Sequence[Item]) -> int:
        """Add or replace 1 to 1,000 catalogue items; returns how many were acknowledged."""
        return await self._run(calls.put_items(items))

    async def get_items(self, item_ids: Sequence[str]) -> list[Item]:
        """Return what the catalogue knows of the given items; unknown ones are left out."""
        return await self._run(calls.get_items(item_ids))

    async def delete_items(self, item_ids: Sequence[str]) -> int:
        """Delete 1 to 1,000 items; returns how many deletions were acknowledged."""
        return await self._run(calls.delete_items(item_ids))

    async def put_users(self, users: Sequence[User]) -> int:
        """Add or replace 1 to 1,000 users, whole; returns how many were acknowledged."""
        return await self._run(calls.put_users(users))

    async def get_users(self, user_ids: Sequence[str]) -> list[User]:
        """Return those of the given users that the replica which answers has in memory."""
        return await self._run(calls.get_users(user_ids))

    async def delete_users(self, user_ids: Sequence[str]) -> int:
        """Forget 1 to 1,000 users and their profiles; returns how many were acknowledged."""
        return await self._run(calls.delete_users(user_ids))

    async def get_profiles(self, user_ids: Sequence[str]) -> list[Profile]:
        """Return what 1 to 100 users did in earlier sessions, of those who have a profile."""
        return await self._run(calls.get_profiles(user_ids))

    async def list_models(self) -> list[Model]:
        """Return the models as the replica that answers has them."""
        return await self._run(calls.list_models())

    async def pause_learning(self, model: str) -> None:
        """Have ``"vectors"`` or ``"ranker"`` pass over its input: it never learns it later."""
        await self._run(calls.pause_learning(model))

    async def resume_learning(self, model: str) -> None:
        """Have ``"vectors"`` or ``"ranker"`` learn again."""
        await self._run(calls.resume_learning(model))

    async def roll_back(self, model: str, version: int) -> None:
        """Roll ``"ranker"`` back to one of its kept versions; it continues to learn from there."""
        await self._run(calls.roll_back(model, version))

    async def list_features(self, entity: str = "") -> list[Feature]:
        """Return what the features mean; see `Client.list_features`."""
        return await self._run(calls.list_features(entity))

    async def get_features(
        self,
        session_id: str = "",
        *,
        user_id: str = "",
        item_ids: Sequence[str] = (),
        names: Sequence[str] = (),
    ) -> FeatureValues:
        """Return values of features; see `Client.get_features`."""
        return await self._run(calls.get_features(session_id, user_id, item_ids, names))

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close(None)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: calls.Call[T]) -> T:
        attempts = Attempts(self._timeout_s, self._retries)
        method = call.method(self._stubs)
        if self._hedge_after_s is None or not call.reads:
            return call.parse(await self._attempt(method, call.request, attempts))

        def begin() -> Any:
            left_s = attempts.timeout()
            return method(call.request, timeout=left_s, metadata=self._metadata)

        return call.parse(await first_answer_async(begin, attempts, self._hedge_after_s))

    async def _attempt(self, method: Any, request: Any, attempts: Attempts) -> Any:
        while True:
            try:
                return await method(request, timeout=attempts.timeout(), metadata=self._metadata)
            except grpc.RpcError as error:
                pause = attempts.pause() if retryable(error) else None
                if pause is None:
                    raise translate(error) from error
                await asyncio.sleep(pause)

    async def _stream(
        self, call: calls.StreamCall[T], requests: Iterable[Any] | AsyncIterable[Any]
    ) -> AsyncGenerator[T, None]:
        stream = Stream(call, self._timeout_s)
        messages = stream.messages_async(requests)
        rpc = call.method(self._stubs)(messages, metadata=self._metadata)
        watch = asyncio.create_task(_watch(stream, rpc))
        try:
            stream.wait()
            async for response in rpc:
                yield stream.take(response)
                stream.wait()
        except asyncio.CancelledError:
            stream.raise_if_overdue()
            raise
        except grpc.RpcError as error:
            raise translate(error) from error
        finally:
            watch.cancel()
            rpc.cancel()
        stream.end()


async def _watch(stream: Stream[Any], rpc: Any) -> None:
    while (left := stream.seconds_left()) > 0:
        await asyncio.sleep(left)
    rpc.cancel()
