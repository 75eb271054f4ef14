"""The server as its callers meet it: faults, overload, connections."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from nextclick.v1 import catalog_service_pb2, recommendation_service_pb2
from server.transport import server
from server.transport.fast_lane import TOO_LATE
from server.transport.server import GrpcServer
from settings.server import ServerSettings
from tests.unit.server.transport.served import LIMIT_S, WAITING, Clock, Served, count, until

READY = grpc.ChannelConnectivity.READY

HTTP2_BEGINS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client sends first: the preface, and a frame of settings without any."""

SILENT_S = LIMIT_S / 2
"""Far more than the seconds that are set, and less than the minute that is gRPC's own."""


def test_faults_arrive_as_bad_request_with_every_field(served):
    """A caller's library shows field errors only if they come in the standard form."""
    before = count("Recommend", "INVALID_ARGUMENT")
    with pytest.raises(grpc.RpcError) as error:
        served.recommend(page_size=501)
    status = rpc_status.from_call(error.value)
    bad = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad)
    assert {v.field for v in bad.field_violations} == {"session_id", "page_size"}
    assert all(v.description for v in bad.field_violations)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert count("Recommend", "INVALID_ARGUMENT") == before + 1


def test_each_answer_is_timed_once(served):
    """An average of twice as many calls would be half the latency."""

    def timed(method, what):
        name = f"nextclick_request_seconds_{what}"
        return REGISTRY.get_sample_value(name, {"method": method}) or 0.0

    methods = ("Recommend", "PutEvents")
    before = {method: (timed(method, "count"), timed(method, "sum")) for method in methods}
    started = time.perf_counter()
    for _ in range(3):
        served.recommend(session_id="s")
    served.put()
    until(lambda: timed("Recommend", "count") == before["Recommend"][0] + 3)
    until(lambda: timed("PutEvents", "count") == before["PutEvents"][0] + 1)
    elapsed = time.perf_counter() - started
    spent = sum(timed(method, "sum") - before[method][1] for method in methods)
    assert 0 < spent < elapsed


def test_bytes_that_are_no_request_are_the_callers_fault(served):
    """Garbage must not look like a crash of the server."""
    for name in (
        "RecommendationService/Recommend",
        "EventService/PutEvents",
        "CatalogService/GetItems",
    ):
        call = served.channel.unary_unary(f"/nextclick.v1.{name}")
        with pytest.raises(grpc.RpcError) as error:
            call(b"\xff\xff\xff", timeout=LIMIT_S)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_fault_of_ours_is_internal_and_counted(served, monkeypatch):
    """An alert on errors rests on the count; the caller must not read our traceback."""
    before = count("Recommend", "INTERNAL")

    def fails(*_, **__):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.shop.replica.engine, "recommend", fails)
    with pytest.raises(grpc.RpcError) as error:
        served.recommend(session_id="s")
    assert error.value.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in error.value.details()
    assert count("Recommend", "INTERNAL") == before + 1
    monkeypatch.undo()
    assert len(served.recommend(session_id="s").items) == 20


def test_waiting_puts_are_bounded_and_hold_up_nothing_else(served):
    """With Kafka away, callers of PutEvents pile up: answers, health and reads must not notice."""
    served.producer.acknowledge.clear()
    with ThreadPoolExecutor(WAITING) as pool:
        puts = [pool.submit(served.put) for _ in range(WAITING)]
        until(lambda: served.producer.waiting == WAITING)
        with pytest.raises(grpc.RpcError) as error:
            served.put()
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(served.recommend(session_id="s").items) == 20
        assert served.status() == health_pb2.HealthCheckResponse.NOT_SERVING
        ask = catalog_service_pb2.GetItemsRequest(item_ids=["zz"])
        assert not served.catalogue.GetItems(ask, timeout=LIMIT_S).items
        served.producer.acknowledge.set()
        assert [p.result().accepted for p in puts] == [1] * WAITING
    assert served.put().accepted == 1


def test_answers_run_on_one_thread(served):
    """Two threads would cost hand-offs, and share the scratch of the kernels."""
    seen = set()
    recommend = served.shop.replica.engine.recommend

    def noting(*args, **kwargs):
        seen.add(threading.get_ident())
        return recommend(*args, **kwargs)

    served.shop.replica.engine.recommend = noting
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: served.recommend(session_id=f"s{i}"), range(40)))
    assert len(seen) == 1


def test_a_call_whose_caller_has_given_up_is_not_answered(served, monkeypatch):
    """Under overload, work for nobody would delay everybody."""
    clock = Clock(monkeypatch)
    asked, release = [], threading.Event()
    original = served.shop.replica.engine.recommend

    def slow(*args, **kwargs):
        asked.append(1)
        release.wait(LIMIT_S)
        return original(*args, **kwargs)

    monkeypatch.setattr(served.shop.replica.engine, "recommend", slow)
    request = recommendation_service_pb2.RecommendRequest(session_id="s")
    first = served.answers.Recommend.future(request, timeout=LIMIT_S)
    until(lambda: asked)
    late = served.answers.Recommend.future(request, timeout=LIMIT_S)
    clock.ahead_s = 2 * LIMIT_S
    release.set()
    assert late.exception().details() == TOO_LATE.details
    clock.ahead_s = 0
    assert len(first.result().items) == 20
    assert len(served.recommend(session_id="s").items) == 20
    assert len(asked) == 2


def test_a_client_may_ping_an_idle_connection(served):
    """One behind a NAT, which pinged each 10 s, was sent away after the third ping."""
    options = (("grpc.keepalive_time_ms", 5_100), ("grpc.keepalive_permit_without_calls", 1),
               ("grpc.http2.max_pings_without_data", 0))  # fmt: skip
    left = threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{served.port}", options) as channel:
        grpc.channel_ready_future(channel).result(LIMIT_S)
        channel.subscribe(lambda state: state is not READY and left.set())
        assert not left.wait(4 * 5.1)


def test_a_client_that_has_fallen_silent_is_let_go(monkeypatch):
    """Its machine is gone without a word; its streams would hold their slots for a minute more."""
    monkeypatch.setattr(server, "SILENCE_S", 1)
    monkeypatch.setattr(server, "PONG_S", 1)
    served = Served()
    try:
        with socket.create_connection(("127.0.0.1", served.port), SILENT_S) as silent:
            silent.sendall(HTTP2_BEGINS)
            with suppress(ConnectionResetError):
                while silent.recv(1 << 16):
                    pass
    finally:
        served.close()


def test_a_connection_of_its_age_ends_and_the_client_connects_anew():
    """A replica that was added got no connections while those of all clients stayed open."""
    served = Served(connection_age_s=0.2)
    try:
        states = []
        served.channel.subscribe(states.append, try_to_connect=True)
        until(lambda: READY in states and states[-1] is not READY)
        assert len(served.recommend(session_id="s").items) == 20
    finally:
        served.close()


def test_a_taken_port_is_one_clear_line(served):
    """The message names the port and the setting."""
    port = served.shop and int(served.channel._channel.target().decode().rsplit(":", 1)[-1])
    settings = ServerSettings(grpc_port=port)
    with pytest.raises(SystemExit, match="NEXTCLICK_GRPC_PORT"):
        GrpcServer(settings, served.handlers, after_answers=lambda: None)
