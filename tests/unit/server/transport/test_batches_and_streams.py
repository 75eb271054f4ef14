"""Many requests in one call: batches and streams, as their callers meet them."""

import threading

import grpc
import pytest
from prometheus_client import REGISTRY

from nextclick.v1 import recommendation_service_pb2
from tests.unit.server.transport.served import LIMIT_S, count, until


def requests(*session_ids, **fields):
    return [
        recommendation_service_pb2.RecommendRequest(session_id=name, **fields)
        for name in session_ids
    ]


def streamed(*session_ids):
    return [
        recommendation_service_pb2.StreamRecommendRequest(request=request)
        for request in requests(*session_ids)
    ]


def items(answers):
    return [[(item.item_id, item.score) for item in answer.items] for answer in answers]


def test_a_batch_answers_as_single_calls_do(served):
    """What is saved is the call's cost, nothing else changes."""
    names = [f"t{i}" for i in range(60)] + ["unknown"]
    batch = recommendation_service_pb2.BatchRecommendRequest(requests=requests(*names, page_size=7))
    answers = served.answers.BatchRecommend(batch, timeout=LIMIT_S).responses
    alone = [served.recommend(session_id=name, page_size=7) for name in names]
    assert items(answers) == items(alone)
    assert [a.session_version for a in answers] == [a.session_version for a in alone]
    assert len({a.recommendation_id for a in [*answers, *alone]}) == 2 * len(names)


@pytest.mark.parametrize("n", [0, 257])
def test_a_batch_has_a_bound(served, n):
    """One caller must not occupy the answering thread for long."""
    batch = recommendation_service_pb2.BatchRecommendRequest(requests=requests(*["s"] * n))
    with pytest.raises(grpc.RpcError) as error:
        served.answers.BatchRecommend(batch, timeout=LIMIT_S)
    assert "1 to 256" in error.value.details()


@pytest.fixture
def two_batches(monkeypatch):
    monkeypatch.setattr("server.transport.lanes.MAX_BATCHES", 2)


def test_batches_that_wait_for_their_turn_are_bounded(two_batches, served, monkeypatch):
    """Each may hold 4 MB, and one after another is answered."""
    begun, release = threading.Event(), threading.Event()
    recommend = served.shop.replica.engine.recommend

    def slow(*args, **kwargs):
        begun.set()
        release.wait(LIMIT_S)
        return recommend(*args, **kwargs)

    monkeypatch.setattr(served.shop.replica.engine, "recommend", slow)
    batch = recommendation_service_pb2.BatchRecommendRequest(requests=requests("t1"))
    calls = [served.answers.BatchRecommend.future(batch, timeout=LIMIT_S) for _ in range(3)]
    assert begun.wait(LIMIT_S)
    until(lambda: any(call.done() for call in calls))
    release.set()
    codes = sorted(call.code().name for call in calls)
    assert codes == ["OK", "OK", "RESOURCE_EXHAUSTED"]


def test_a_fault_in_a_batch_names_the_request(served):
    """Among 256, the faulty one must be found."""
    batch = recommendation_service_pb2.BatchRecommendRequest(requests=requests("a", "b", ""))
    with pytest.raises(grpc.RpcError) as error:
        served.answers.BatchRecommend(batch, timeout=LIMIT_S)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "requests[2].session_id" in error.value.details()


def test_a_stream_answers_each_request_in_order(served):
    """A backend that fills many slots opens one call and keeps it."""
    names = [f"t{i}" for i in range(30)]
    replies = served.answers.StreamRecommend(iter(streamed(*names)), timeout=LIMIT_S)
    answers = [reply.response for reply in replies]
    assert items(answers) == items([served.recommend(session_id=name) for name in names])
    faulty = served.answers.StreamRecommend(iter(streamed("t1", "")), timeout=LIMIT_S)
    assert next(faulty).response.items
    with pytest.raises(grpc.RpcError) as error:
        next(faulty)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_failed_stream_is_counted_under_its_own_method(served):
    """An alert must name the method whose callers see the errors."""
    before = {name: count(name, "INVALID_ARGUMENT") for name in ("Recommend", "StreamRecommend")}
    with pytest.raises(grpc.RpcError):
        next(served.answers.StreamRecommend(iter(streamed("")), timeout=LIMIT_S))
    raw = served.channel.stream_stream("/nextclick.v1.RecommendationService/StreamRecommend")
    with pytest.raises(grpc.RpcError) as error:
        next(raw(iter([b"\xff\xff\xff"]), timeout=LIMIT_S))
    assert "StreamRecommendRequest" in error.value.details()
    after = {name: count(name, "INVALID_ARGUMENT") for name in before}
    assert after == {**before, "StreamRecommend": before["StreamRecommend"] + 2}


@pytest.fixture
def three_streams(monkeypatch):
    monkeypatch.setattr("server.transport.lanes.MAX_STREAMS", 3)


def test_streams_are_bounded_and_hold_up_no_other_call(three_streams, served):
    """An idle stream costs a sleeping thread; a flood of them must not take the server."""
    release = threading.Event()

    def slow():
        yield from streamed("t1")
        release.wait(LIMIT_S)

    streams = [served.answers.StreamRecommend(slow(), timeout=LIMIT_S) for _ in range(3)]
    for stream in streams:
        next(stream)
    open_streams = {"kind": "streams"}
    assert REGISTRY.get_sample_value("nextclick_open_streams", open_streams) == 3
    assert len(served.recommend(session_id="t1").items) == 20
    with pytest.raises(grpc.RpcError) as error:
        next(served.answers.StreamRecommend(slow(), timeout=LIMIT_S))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    release.set()
    assert all(not list(stream) for stream in streams)
