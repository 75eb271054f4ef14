"""The server as its callers meet it: real gRPC and real models; Kafka is a dict, Redis away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from cli.stack.layout import Ports
from nextclick.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    learning_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
)
from server.kafka.acked_producer import Outcome
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.model import Models
from server.transport import fast_lane
from server.transport.fast_lane import TOO_LATE
from server.transport.health import MAX_CLIENT_WATCHERS
from server.transport.server import GrpcServer
from settings.server import ServerSettings
from tests.unit.server.services.test_recommendation import Shop

WAITING = 3
READY = grpc.ChannelConnectivity.READY
LIMIT_S = 60.0
"""For what takes milliseconds: a test that reaches it fails."""


class FakeProducer:
    """Acknowledges at once, or not before `acknowledge` is set, or never: `gives_up`."""

    def __init__(self):
        self.acknowledge, self.gives_up = threading.Event(), False
        self.records, self.timeouts, self.waiting = [], [], 0
        self._lock = threading.Lock()
        self.acknowledge.set()

    def put(self, topic, records, timeout_s):
        with self._lock:
            self.timeouts.append(timeout_s)
            self.waiting += 1
        acknowledged = not self.gives_up and self.acknowledge.wait(LIMIT_S)
        with self._lock:
            self.waiting -= 1
        self.records += [(topic, *record) for record in records] if acknowledged else []
        return [Outcome("" if acknowledged else "not in time")] * len(records)


class Served:
    """A running server and stubs of it."""

    def __init__(self, token="", **more):
        self.shop, self.producer = Shop(), FakeProducer()
        self.port = Ports.free().grpc
        settings = ServerSettings(
            grpc_port=self.port, max_waiting_puts=WAITING, token=token, **more
        )
        self.handlers = (
            self.shop.service,
            Events(self.producer, self.shop.replica, ""),
            Catalogue(self.producer, self.shop.replica, ""),
            Models(self.producer, self.shop.replica, ""),
        )
        self.server = GrpcServer(settings, self.handlers, self.shop.service.send_impressions)
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.answers = recommendation_service_pb2_grpc.RecommendationServiceStub(self.channel)
        self.events = event_service_pb2_grpc.EventServiceStub(self.channel)
        self.catalogue = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def recommend(self, **fields):
        request = recommendation_service_pb2.RecommendRequest(**fields)
        return self.answers.Recommend(request, timeout=LIMIT_S)

    def put(self, timeout=LIMIT_S):
        event = event_service_pb2.Event(
            type="view", session_id="s", item_id="a", timestamp_ms=now()
        )
        request = event_service_pb2.PutEventsRequest(events=[event])
        return self.events.PutEvents(request, timeout=timeout)

    def status(self):
        return self.health.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S).status

    def close(self):
        self.producer.acknowledge.set()
        self.channel.close()
        self.server.drain(0)


@pytest.fixture
def served():
    served = Served()
    yield served
    served.close()


def now():
    return int(time.time() * 1000)


def count(method, code):
    labels = {"method": method, "code": code}
    return REGISTRY.get_sample_value("nextclick_requests_total", labels) or 0.0


class Clock:
    """The fast lane's clock, which a test puts forward: deadlines pass without being waited for."""

    def __init__(self, monkeypatch):
        self.ahead_s = 0.0
        monkeypatch.setattr(fast_lane, "time", self)

    def time(self):
        return time.time() + self.ahead_s


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


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
    assert len(served.recommend(session_id="t1").items) == 20
    with pytest.raises(grpc.RpcError) as error:
        next(served.answers.StreamRecommend(slow(), timeout=LIMIT_S))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    release.set()
    assert all(not list(stream) for stream in streams)


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


def test_put_events_reports_each_event_of_its_own(served):
    """One faulty event must cost only itself."""
    good = {"type": "view", "session_id": "s", "item_id": "a", "timestamp_ms": now()}
    request = event_service_pb2.PutEventsRequest(
        events=[
            event_service_pb2.Event(**good),
            event_service_pb2.Event(type="view", timestamp_ms=now()),
            event_service_pb2.Event(**{**good, "session_id": "", "user_id": "u"}),
        ]
    )
    reply = served.events.PutEvents(request, timeout=LIMIT_S)
    assert reply.accepted == 2
    assert [e.index for e in reply.errors] == [1]
    assert {f.field for f in reply.errors[0].faults} == {"item_id", "session_id"}
    assert not reply.errors[0].retryable
    assert [(topic, key) for topic, key, _ in served.producer.records] == [
        ("events", "s"),
        ("events", "u:u"),
    ]


def test_unacknowledged_events_are_retryable_before_the_deadline(served):
    """DEADLINE_EXCEEDED would not say which events to send again."""
    served.producer.gives_up = True
    reply = served.put(timeout=LIMIT_S)
    assert reply.accepted == 0
    assert [e.retryable for e in reply.errors] == [True]
    # What is left of the caller's deadline; what becomes of it: `test_acked_producer.py`.
    (left_s,) = served.producer.timeouts
    # Near it: gRPC converts deadlines between clocks, which a busy machine makes inexact.
    assert LIMIT_S / 2 < left_s < 2 * LIMIT_S


def test_catalogue_faults_name_the_item(served):
    """In a batch of a thousand, the faulty one must be found."""
    item = catalog_service_pb2.Item
    request = catalog_service_pb2.PutItemsRequest(items=[item(item_id="a"), item(item_id="")])
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.PutItems(request, timeout=LIMIT_S)
    assert "items[1].item_id" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.DeleteItems(
            catalog_service_pb2.DeleteItemsRequest(item_ids=["a", ""]), timeout=LIMIT_S
        )
    assert "item_ids[1]:" in error.value.details()
    assert served.producer.records == []


def test_health_follows_the_replica_and_watchers_hear_of_it(served):
    """A load balancer sends no traffic before SERVING, and none after NOT_SERVING."""
    # More of them than there are threads.
    watches = [served.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(20)]
    heard = [next(watches[0]).status]
    assert all(next(w).status == heard[0] for w in watches[1:])
    served.server.set_serving(True)
    heard.append(next(watches[0]).status)
    served.server.set_serving(False)
    heard.append(next(watches[0]).status)
    for watch in watches:
        watch.cancel()
    kinds = health_pb2.HealthCheckResponse
    assert heard == [kinds.NOT_SERVING, kinds.SERVING, kinds.NOT_SERVING]


def test_watchers_that_leave_while_the_status_changes_stop_nothing(served):
    """A stream that ends takes the lock under which changes are sent: neither may wait for both."""

    def come_and_go():
        for _ in range(60):
            watch = served.health.Watch(health_pb2.HealthCheckRequest())
            next(watch)
            watch.cancel()

    visitors = [threading.Thread(target=come_and_go) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    changes = 0
    while any(visitor.is_alive() for visitor in visitors):
        served.server.set_serving(changes % 2 == 0)
        changes += 1
    served.server.set_serving(True)
    reply = served.health.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    assert changes > 1


def test_too_many_watchers_are_told_so(served):
    """A queue of watchers would be silence; the bound is an error that says what to do."""
    watches = [
        served.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_CLIENT_WATCHERS)
    ]
    for watch in watches:
        next(watch)
    with pytest.raises(grpc.RpcError) as error:
        next(served.health.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT_S))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for watch in watches:
        watch.cancel()


def test_a_draining_server_still_answers_until_balancers_have_noticed(served):
    """Calls that a balancer sent before its next health check failed at every deployment."""
    draining = threading.Thread(target=served.server.drain, args=(0, LIMIT_S), daemon=True)
    draining.start()
    until(lambda: served.status() == health_pb2.HealthCheckResponse.NOT_SERVING)
    assert len(served.recommend(session_id="s").items) == 20
    assert draining.is_alive()


def test_a_client_may_ping_an_idle_connection(served):
    """One behind a NAT, which pinged each 10 s, was sent away after the third ping."""
    options = (("grpc.keepalive_time_ms", 5_100), ("grpc.keepalive_permit_without_calls", 1),
               ("grpc.http2.max_pings_without_data", 0))  # fmt: skip
    left = threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{served.port}", options) as channel:
        grpc.channel_ready_future(channel).result(LIMIT_S)
        channel.subscribe(lambda state: state is not READY and left.set())
        assert not left.wait(4 * 5.1)


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


def test_models_are_listed_and_steered(served):
    """Whoever watches the shop must be able to stop a learner that is fed rubbish."""
    models = served.models
    listed = models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S).models
    assert [m.name for m in listed] == ["blend", "vectors", "ranker"]
    assert listed[0].answering
    assert listed[2].age_ms == -1
    served.shop.replica.learners["ranker"] = learning_pb2.LearnerState(
        version=9, learned=70, kept_versions=[3, 7], timestamp_ms=1
    )
    listed = models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S).models
    assert (listed[2].version, listed[2].examples, list(listed[2].kept_versions)) == (9, 70, [3, 7])
    assert listed[2].age_ms > 0
    models.PauseLearning(model_service_pb2.PauseLearningRequest(model="vectors"), timeout=LIMIT_S)
    models.ResumeLearning(model_service_pb2.ResumeLearningRequest(model="vectors"), timeout=LIMIT_S)
    models.RollBack(model_service_pb2.RollBackRequest(model="ranker", version=7), timeout=LIMIT_S)
    topics, keys, values = zip(*served.producer.records, strict=True)
    assert set(topics) == {"commands"}
    assert keys == ("vectors", "vectors", "ranker")
    commands = [learning_pb2.LearnerCommand.FromString(value) for value in values]
    assert [c.kind for c in commands] == [1, 2, 3]
    assert commands[2].version == 7


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("PauseLearning", model_service_pb2.PauseLearningRequest(model="blend"), "model"),
        ("ResumeLearning", model_service_pb2.ResumeLearningRequest(), "model"),
        ("RollBack", model_service_pb2.RollBackRequest(model="vectors", version=1), "model"),
        ("RollBack", model_service_pb2.RollBackRequest(model="ranker", version=5), "version"),
    ],
)
def test_a_command_that_cannot_be_obeyed_is_refused(served, call, request_, field):
    """It would be acknowledged, and nothing would ever happen."""
    with pytest.raises(grpc.RpcError) as error:
        getattr(served.models, call)(request_, timeout=LIMIT_S)
    bad = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error.value).details[0].Unpack(bad)
    assert [v.field for v in bad.field_violations] == [field]
    assert not served.producer.records
