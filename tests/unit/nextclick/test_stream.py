"""Streams of recommendations: order, errors of either side, deadlines, and how they end."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

import nextclick
from nextclick import AsyncClient, Filter, RecommendRequest, calls, stream
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.nextclick.fake_server import Fake, bad_request, serving


def _answer(version: int) -> pb.StreamRecommendResponse:
    return pb.StreamRecommendResponse(response=pb.RecommendResponse(session_version=version))


def test_answers_come_in_the_order_of_the_requests(client: Any, fake: Fake) -> None:
    """If it failed, visitors would get each other's items."""
    fake.answers = [_answer(version) for version in range(1, 101)]
    sessions = [f"s{n}" for n in range(100)]
    answers = list(client.recommend_stream(sessions, page_size=5))
    assert [answer.session_version for answer in answers] == list(range(1, 101))
    assert fake.requests == [
        pb.StreamRecommendRequest(request=pb.RecommendRequest(session_id=name, page_size=5))
        for name in sessions
    ]


def test_whole_requests_keep_their_own_size_and_filter(client: Any, fake: Fake) -> None:
    """If it failed, visitors with wishes of their own would need a call of their own."""
    fake.answers = [_answer(1)]
    whole = RecommendRequest(user_id="u", page_size=3, explain=True)
    answers = client.recommend_stream([whole], page_size=5, filter=Filter(exclude_seen=True))
    assert len(list(answers)) == 1
    expected = pb.RecommendRequest(user_id="u", page_size=3, explain=True)
    assert fake.requests == [pb.StreamRecommendRequest(request=expected)]


def test_requests_may_depend_on_the_answers_so_far(client: Any, fake: Fake) -> None:
    """If it failed, a stream would have to be known before it begins."""
    fake.answers = [_answer(1), _answer(2), _answer(3)]
    waiting: queue.Queue[str | None] = queue.Queue()
    waiting.put("s0")
    requests: Any = iter(waiting.get, None)
    if type(client).__name__ == "Blocking":  # an asyncio client must not be kept from its loop
        requests = _each(waiting)
    versions = []
    for answer in client.recommend_stream(requests):
        versions.append(answer.session_version)
        waiting.put(f"s{len(versions)}" if len(versions) < 3 else None)
    assert versions == [1, 2, 3]
    assert [r.request.session_id for r in fake.requests] == ["s0", "s1", "s2"]


async def _each(waiting: queue.Queue[str | None]) -> AsyncIterator[str]:
    while (name := await asyncio.to_thread(waiting.get)) is not None:
        yield name


def test_error_of_the_server_ends_the_stream(client: Any, fake: Fake) -> None:
    """If it failed, a caller could not tell what was wrong with a request."""
    seen = threading.Event()
    refuse: Any = bad_request(("page_size", "send 1 to 500"))
    fake.answers = [_answer(1), _after(seen, refuse)]
    answers = client.recommend_stream(["s", RecommendRequest("t", page_size=501), "u"])
    assert next(answers).session_version == 1
    seen.set()
    with pytest.raises(nextclick.InvalidRequestError) as caught:
        next(answers)
    assert [fault.field for fault in caught.value.faults] == ["page_size"]
    assert list(answers) == []


def _after(seen: threading.Event, answer: Callable[[grpc.ServicerContext], Any]) -> Any:
    """Return an answer that comes once the one before it is seen: gRPC may drop that otherwise."""

    def wait(context: grpc.ServicerContext) -> Any:
        seen.wait(30)
        return answer(context)

    return wait


def test_faulty_request_comes_after_the_answers_before_it(client: Any, fake: Fake) -> None:
    """If it failed, one wrong argument would lose the answers to others, or go unseen."""
    fake.answers = [_answer(1)]
    answers = client.recommend_stream(["s", 7, "t"])
    assert next(answers).session_version == 1
    with pytest.raises(nextclick.InvalidRequestError, match="RecommendRequest"):
        next(answers)
    assert len(fake.requests) == 1


def test_error_of_the_caller_s_own_requests_reaches_the_caller(client: Any, fake: Fake) -> None:
    """If it failed, a stream whose source broke would look complete."""
    fake.answers = [_answer(1)]

    def requests() -> Iterator[str]:
        yield "s"
        raise KeyError("the source broke")

    answers = client.recommend_stream(requests())
    assert next(answers).session_version == 1
    with pytest.raises(KeyError, match="the source broke"):
        next(answers)


def test_one_session_id_is_not_a_stream(client: Any, fake: Fake) -> None:
    """If it failed, its letters would be asked for."""
    with pytest.raises(nextclick.InvalidRequestError, match="must be a list"):
        client.recommend_stream("abc")
    assert fake.methods == []


def test_stream_is_not_retried(client: Any, fake: Fake) -> None:
    """If it failed, answers could come twice."""
    seen = threading.Event()
    down = grpc.StatusCode.UNAVAILABLE
    fake.answers = [_answer(1), _after(seen, lambda context: context.abort(down, "down"))]
    answers = client.recommend_stream(["s", "t"])
    assert next(answers).session_version == 1
    seen.set()
    with pytest.raises(nextclick.UnavailableError):
        next(answers)
    assert len(fake.methods) == 1


def test_answer_that_does_not_come_is_overdue(client_type: Any, fake: Fake) -> None:
    """If it failed, a server that hangs would hold its callers for ever."""
    released = threading.Event()

    def slow(_: grpc.ServicerContext) -> pb.StreamRecommendResponse:
        released.wait(30)
        return _answer(2)

    fake.answers = [_answer(1), slow]
    with serving(fake) as target, client_type(target, timeout_s=3.0) as client:
        answers = client.recommend_stream(["s", "t"])
        assert next(answers).session_version == 1
        with pytest.raises(nextclick.DeadlineExceededError, match="no answer to request 1"):
            next(answers)
        released.set()


def test_only_waiting_for_an_answer_on_its_way_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, a source or a caller that is quiet for a while would break its stream."""
    now = 0.0
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: now))
    one = stream.Stream(calls.recommend_stream([], 0, None), timeout_s=1.0)
    messages = one.messages(["s", "t"])
    one.wait()
    now = 5.0
    assert one.seconds_left() == 1.0  # no request is out
    next(messages)
    now = 5.75
    assert one.seconds_left() == 0.25
    one.take(_answer(1))
    next(messages)
    now = 9.0
    assert one.seconds_left() == 1.0  # the caller is busy with the answer
    one.raise_if_overdue()
    one.wait()
    now = 10.0
    assert one.seconds_left() == 0.0
    with pytest.raises(nextclick.DeadlineExceededError, match="request 1"):
        one.raise_if_overdue()


def test_stream_that_is_left_early_ends_at_the_server(client: Any, fake: Fake) -> None:
    """If it failed, each loop left early would keep one of the server's streams."""
    ended = threading.Event()

    def watched(context: grpc.ServicerContext) -> pb.StreamRecommendResponse:
        context.add_callback(ended.set)
        return _answer(1)

    fake.answers = [watched, _answer(2)]
    more = threading.Event()

    async def requests_async() -> AsyncIterator[str]:
        yield "s"
        await asyncio.to_thread(more.wait, 30)

    def requests() -> Iterator[str]:
        yield "s"
        more.wait(30)

    source: Any = requests_async() if type(client).__name__ == "Blocking" else requests()
    answers = client.recommend_stream(source)
    assert next(answers).session_version == 1
    assert not ended.is_set()
    answers.close()
    assert ended.wait(30)
    more.set()


def test_cancelled_task_is_not_an_overdue_answer(fake: Fake, target: str) -> None:
    """If it failed, asyncio could not cancel what waits for a stream."""
    asked = threading.Event()
    released = threading.Event()

    def slow(_: grpc.ServicerContext) -> pb.StreamRecommendResponse:
        asked.set()
        released.wait(30)
        return _answer(1)

    fake.answers = [slow]

    async def run() -> None:
        async with AsyncClient(target, timeout_s=30.0) as client:
            task = asyncio.create_task(anext(client.recommend_stream(["s"])))
            await asyncio.to_thread(asked.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    try:
        asyncio.run(run())
    finally:
        released.set()


def test_stream_of_nothing_is_empty(client: Any, fake: Fake) -> None:
    """If it failed, a quiet moment would be an error."""
    assert list(client.recommend_stream([])) == []
    assert fake.requests == []
