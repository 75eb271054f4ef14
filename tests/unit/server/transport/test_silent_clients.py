"""Clients that open calls and then send nothing hold up nobody."""

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from listeners.guard import guard_of
from listeners.tokens import Scope
from nextclick.v1 import catalog_service_pb2, model_service_pb2, recommendation_service_pb2
from server.transport.fast_lane import MESSAGE_S
from server.transport.health import MAX_CLIENT_WATCHERS, MAX_WATCHERS
from server.transport.lanes import (
    MAX_ASIDE,
    MAX_BATCHES,
    MAX_CLIENT_STREAMS,
    MAX_REDIS_WAITS,
    MAX_STREAMS,
)
from server.transport.methods import METHODS, Lane
from server.transport.reflection import MAX_CLIENT_REFLECTIONS, MAX_REFLECTIONS
from server.transport.server import MAX_CONNECTION_CALLS
from tests.tokens import write_tokens
from tests.unit.server.transport.served import LIMIT_S, Served, refused, until

SILENT_CALLS = 80
"""More than any pool has threads."""

CHECK, WATCH = (f"/{health.SERVICE_NAME}/{name}" for name in ("Check", "Watch"))
REFLECTION = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr("server.transport.fast_lane.MESSAGE_S", 100 * LIMIT_S)


def open_calls(served):
    return len(served.server._server._state.rpc_states)


def assert_all_are_answered(served):
    request = recommendation_service_pb2.RecommendRequest(session_id="t1")
    batch = recommendation_service_pb2.BatchRecommendRequest(requests=[request])
    one = recommendation_service_pb2.StreamRecommendRequest(request=request)
    ids = catalog_service_pb2.GetItemsRequest(item_ids=["a"])
    assert len(served.recommend(session_id="t1").items) == 20
    assert len(served.answers.BatchRecommend(batch, timeout=LIMIT_S).responses) == 1
    assert len(list(served.answers.StreamRecommend(iter([one]), timeout=LIMIT_S))) == 1
    assert served.put().accepted == 1
    assert not served.catalogue.GetItems(ids, timeout=LIMIT_S).items
    listed = served.models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S)
    assert listed.models
    assert served.status() == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("path", [*(m.path for m in METHODS if m.lane is not Lane.STREAM), CHECK])
def test_silent_calls_of_one_message_hold_up_nobody(served, silence, path):
    """gRPC has a thread wait for the message: 128 calls made a load balancer drop the server."""
    method = served.channel.stream_unary(path)
    calls = [method.future(silence()) for _ in range(SILENT_CALLS)]
    until(lambda: open_calls(served) == SILENT_CALLS)
    assert_all_are_answered(served)
    assert not any(call.done() for call in calls)


@pytest.mark.parametrize(
    ("path", "most", "beyond", "message"),
    [
        (
            WATCH,
            MAX_CLIENT_WATCHERS,
            grpc.StatusCode.UNIMPLEMENTED,
            health_pb2.HealthCheckRequest(),
        ),
        (
            REFLECTION,
            MAX_CLIENT_REFLECTIONS,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            reflection_pb2.ServerReflectionRequest(list_services="*"),
        ),
    ],
)
def test_silent_streams_have_the_slots_of_their_own_client(
    served, silence, monkeypatch, path, most, beyond, message
):
    """Watchers had a thread before they had a slot; reflection had no limit at all."""
    monkeypatch.setattr("server.transport.streams.client_of", lambda peer: peer)
    streams = [served.channel.stream_stream(path)(silence()) for _ in range(SILENT_CALLS)]
    until(lambda: sum(stream.done() for stream in streams) == SILENT_CALLS - most)
    codes = {stream.code() for stream in streams if stream.done()}
    assert codes == {beyond}
    assert_all_are_answered(served)
    # Any other option makes another connection.
    with grpc.insecure_channel(f"127.0.0.1:{served.port}", [("grpc.other", 1)]) as other:
        answers = other.stream_stream(path)(iter([message.SerializeToString()]), timeout=LIMIT_S)
        assert next(answers)


def test_silent_calls_without_a_token_are_refused(silence, tmp_path):
    """They need send no message to be told so; waiting for it, they held up those with a token."""
    write_tokens(tmp_path / "tokens.json", shop=(Scope.EVENTS,))
    guard, before = guard_of(f"{tmp_path}/tokens.json", "", ""), refused("unauthenticated")
    served = Served(guard)
    try:
        method = served.channel.stream_unary("/nextclick.v1.EventService/PutEvents")
        calls = [method.future(silence()) for _ in range(SILENT_CALLS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
        assert refused("unauthenticated") == before + SILENT_CALLS
    finally:
        served.close()


def test_one_connection_has_a_bounded_number_of_calls(silence, monkeypatch):
    """Silent calls take memory; those beyond the bound wait at the client."""
    monkeypatch.setattr("server.transport.server.MAX_CONNECTION_CALLS", 2)
    served = Served()
    try:
        method = served.channel.stream_unary(CHECK)
        calls = [method.future(silence()) for _ in range(2)]
        until(lambda: open_calls(served) == 2)
        one_more = served.channel.unary_unary(CHECK).future(b"", timeout=LIMIT_S)
        with grpc.insecure_channel(f"127.0.0.1:{served.port}", [("grpc.other", 1)]) as other:
            assert other.unary_unary(CHECK)(b"", timeout=LIMIT_S)
        assert not one_more.done()
        calls[0].cancel()
        assert one_more.result()
    finally:
        served.close()


def test_the_limits_of_calls_are_told():
    """If it failed, operators would look for the wrong bound."""
    told = (Path(__file__).parents[4] / "docs/operating.md").read_text()
    for sentence in (
        f"whose message does not come | {MESSAGE_S:.0f} to {2 * MESSAGE_S:.0f} s",
        f"open calls of one connection | {MAX_CONNECTION_CALLS:,} |",
        f"that wait for a thread | {MAX_BATCHES} each |",
        f"calls that wait for Redis | {MAX_REDIS_WAITS} |",
        f"silent or not | {MAX_STREAMS}, and {MAX_CLIENT_STREAMS} of one address |",
        f"watchers of health | {MAX_WATCHERS}, and {MAX_CLIENT_WATCHERS} of one address |",
        f"of reflection | {MAX_REFLECTIONS}, and {MAX_CLIENT_REFLECTIONS} of one address |",
    ):
        assert sentence in told
    assert MAX_ASIDE == MAX_BATCHES
