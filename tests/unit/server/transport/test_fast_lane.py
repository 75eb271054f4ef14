"""Unary calls: what is answered here, what is left to grpc, and that nothing gets lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from prometheus_client import REGISTRY

from nextclick import Client, InvalidRequestError
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.auth import TokenAuth
from server.transport.fast_lane import MESSAGE_S, SILENT, TOO_LATE, Aside, FastLane, Reply
from server.transport.pool import Pool
from tests.unit.server.transport.served import LIMIT_S, Clock, Served, refused, until

FAST, SLOW = "/test.Lane/Fast", "/test.Lane/Slow"
MAX_ASIDE = 32


class Lane:
    """A server with one fast and one stock call; both answer twice the message."""

    def __init__(self, interceptors=(), behaviour=None):
        self.threads, self.after = set(), 0
        self.server = grpc.server(ThreadPoolExecutor(2), interceptors=interceptors)
        behaviour = behaviour or self.double
        handlers = {"Slow": grpc.unary_unary_rpc_method_handler(lambda raw, context: raw + raw)}
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Lane", handlers),)
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.lane = FastLane(self.server, {FAST: behaviour}, interceptors, self.count)
        self.lane.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def double(self, raw, deadline, stages):
        self.threads.add(threading.current_thread().name)
        return Reply(raw + raw)

    def count(self):
        self.after += 1

    def call(self, method=FAST, raw=b"ab", timeout=LIMIT_S, **kwargs):
        return self.channel.unary_unary(method)(raw, timeout=timeout, **kwargs)

    def close(self):
        self.channel.close()
        self.server.stop(0).wait()


@pytest.fixture
def lanes():
    made = []

    def make(*args, **kwargs):
        made.append(Lane(*args, **kwargs))
        return made[-1]

    yield make
    for lane in made:
        lane.close()


def test_replies_that_take_long_hold_up_no_other_and_are_bounded(lanes):
    """Redis may take milliseconds: only who asked for it waits, and only so many at once."""
    go_on, pool = threading.Event(), Pool("aside", 4, MAX_ASIDE)

    def behaviour(raw, deadline, stages):
        def wait():
            assert go_on.wait(LIMIT_S)
            return Reply(threading.current_thread().name.encode())

        return Aside(pool, wait, lambda: Reply(b"at once")) if raw == b"late" else Reply(raw)

    lane = lanes(behaviour=behaviour)
    ask = lane.channel.unary_unary(FAST)
    waiting = [ask.future(b"late", timeout=LIMIT_S) for _ in range(MAX_ASIDE)]
    until(lambda: pool.work == MAX_ASIDE)
    assert at_work("aside") == MAX_ASIDE
    assert lane.call(raw=b"fast") == b"fast"
    assert lane.call(raw=b"late") == b"at once"
    assert not any(call.done() for call in waiting)
    go_on.set()
    assert all(call.result().startswith(b"aside") for call in waiting)
    assert at_work("aside") == 0
    until(lambda: lane.after == MAX_ASIDE + 2)


def at_work(lane):
    return REGISTRY.get_sample_value("nextclick_lane_calls", {"lane": lane})


def test_a_call_that_sends_no_message_is_closed(lanes, silence, monkeypatch):
    """Each holds memory, for as long as its client likes."""
    clock, lane, before = Clock(monkeypatch), lanes(), refused("no_message")
    silent = lane.channel.stream_unary(FAST).future(silence())
    until(lambda: lane.server._state.rpc_states)
    for _ in range(3):
        clock.ahead_s += MESSAGE_S
        assert lane.call() == b"abab"
    assert silent.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert silent.details() == SILENT.details
    until(lambda: not lane.server._state.rpc_states)
    assert refused("no_message") == before + 1


def test_a_call_whose_turn_comes_after_its_deadline_is_not_worked_on(lanes, monkeypatch):
    """Under overload, work for nobody would delay everybody."""
    clock, pool, before = Clock(monkeypatch), Pool("aside", 1, 2), refused("late")
    begun, release, worked = threading.Event(), threading.Event(), []

    def behaviour(raw, deadline, stages):
        def work():
            begun.set()
            release.wait(LIMIT_S)
            worked.append(raw)
            return Reply(raw)

        return Aside(pool, work, lambda: Reply(b"at once"))

    lane = lanes(behaviour=behaviour)
    ask = lane.channel.unary_unary(FAST)
    first = ask.future(b"first", timeout=LIMIT_S)
    assert begun.wait(LIMIT_S)
    late = ask.future(b"late", timeout=LIMIT_S)
    until(lambda: pool.work == 2)
    clock.ahead_s = 2 * LIMIT_S
    release.set()
    assert late.exception().details() == TOO_LATE.details
    assert first.result() == b"first"
    assert worked == [b"first"]
    assert refused("late") == before + 1


@pytest.fixture
def serving():
    made = []

    def make(**settings):
        made.append(Served(**settings))
        return made[-1]

    yield make
    for served in made:
        served.close()


class Noting(grpc.ServerInterceptor):
    """Notes the methods it is asked about; changes or refuses nothing unless told."""

    def __init__(self, change=None):
        self.seen, self.change = [], change

    def intercept_service(self, continuation, details):
        self.seen.append(details.method)
        handler = continuation(details)
        return self.change(handler) if self.change else handler


def test_both_kinds_of_calls_are_answered_side_by_side(lanes):
    lane = lanes()
    for _ in range(50):
        assert lane.call(FAST) == lane.call(SLOW) == b"abab"
    assert lane.call(FAST, b"") == b""
    assert lane.threads == {"answers"}


def test_many_callers_at_once_all_get_their_own_answer(lanes):
    lane = lanes()
    with ThreadPoolExecutor(16) as pool:
        messages = [str(i).encode() for i in range(800)]
        methods = [SLOW if i % 7 == 0 else FAST for i in range(800)]
        answers = list(pool.map(lane.call, methods, messages))
    assert answers == [2 * m for m in messages]


def test_an_unknown_method_is_grpcs_to_refuse(lanes):
    with pytest.raises(grpc.RpcError) as error:
        lanes().call("/test.Lane/None")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_errors_carry_code_details_and_trailers(lanes):
    fault = Reply(b"", grpc.StatusCode.NOT_FOUND.value[0], "no such item", (("why-bin", b"\x01"),))
    lane = lanes(behaviour=lambda raw, deadline, stages: fault)
    with pytest.raises(grpc.RpcError) as error:
        lane.call()
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert error.value.details() == "no such item"
    assert ("why-bin", b"\x01") in error.value.trailing_metadata()


def test_work_after_the_reply_follows_each_one(lanes):
    lane = lanes()
    for _ in range(5):
        lane.call()
    lane.call(SLOW)
    lane.call()
    assert lane.after >= 5  # the last one may still run


def test_an_interceptor_sees_fast_calls_and_lets_them_pass(lanes):
    noting = Noting()
    lane = lanes([noting])
    assert lane.call() == b"abab"
    assert noting.seen == [FAST]
    assert lane.threads == {"answers"}


def test_what_an_interceptor_changes_is_grpcs_to_answer(lanes):
    other = grpc.unary_unary_rpc_method_handler(lambda raw, context: b"changed")
    lane = lanes([Noting(lambda handler: other)])
    assert lane.call() == b"changed"


def test_an_interceptor_that_fails_fails_the_call_only(lanes):
    noting = Noting()
    noting.change = lambda handler: 1 / 0
    lane = lanes([noting])
    with pytest.raises(grpc.RpcError):
        lane.call()
    noting.change = None
    assert lane.call() == b"abab"


def test_a_call_whose_deadline_has_passed_is_not_worked_on(lanes, monkeypatch):
    clock, before = Clock(monkeypatch), refused("late")
    worked, release = [], threading.Event()

    def slow(raw, deadline, stages):
        worked.append(raw)
        release.wait(LIMIT_S)
        return Reply(raw)

    lane = lanes(behaviour=slow)
    first = lane.channel.unary_unary(FAST).future(b"first", timeout=LIMIT_S)
    until(lambda: worked)
    late = lane.channel.unary_unary(FAST).future(b"late", timeout=LIMIT_S)
    clock.ahead_s = 2 * LIMIT_S
    release.set()
    assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert late.details() == TOO_LATE.details
    assert refused("late") == before + 1
    clock.ahead_s = 0
    assert first.result() == b"first"
    assert lane.call(raw=b"next") == b"next"
    assert worked == [b"first", b"next"]


def test_a_drain_lets_a_call_in_flight_end(lanes):
    begun, release = threading.Event(), threading.Event()

    def slow(raw, deadline, stages):
        begun.set()
        release.wait(LIMIT_S)
        return Reply(raw)

    lane = lanes(behaviour=slow)
    call = lane.channel.unary_unary(FAST).future(b"x", timeout=LIMIT_S)
    assert begun.wait(LIMIT_S)
    stopped = lane.server.stop(LIMIT_S)
    release.set()
    assert call.result() == b"x"
    assert stopped.wait(LIMIT_S)


def test_a_message_over_the_limit_is_refused_and_the_next_one_answered(serving):
    served = serving()
    method = served.channel.unary_unary("/nextclick.v1.RecommendationService/Recommend")
    with pytest.raises(grpc.RpcError) as error:
        method(bytes(9 << 20), timeout=LIMIT_S)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(served.recommend(session_id="s").items) == 20


@pytest.mark.parametrize("method", [FAST, SLOW])
def test_without_the_token_no_call_is_answered(lanes, method):
    lane = lanes([TokenAuth("secret")])
    for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", "secret"),)):
        with pytest.raises(grpc.RpcError) as error:
            lane.call(method, metadata=metadata)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert not lane.threads
    assert lane.call(method, metadata=(("authorization", "Bearer secret"),)) == b"abab"


def test_clients_carry_the_token_and_say_what_to_do_without_it(serving):
    served = serving(token="secret")
    target = f"127.0.0.1:{served.port}"
    with Client(target, token="secret", timeout_s=LIMIT_S) as client:
        assert len(client.recommend("s").items) == 20
    stranger = Client(target, timeout_s=LIMIT_S)
    with stranger as client, pytest.raises(InvalidRequestError, match="token"):
        client.recommend("s")
    assert served.status()  # health needs none
    with pytest.raises(grpc.RpcError) as error:
        served.answers.BatchRecommend(pb.BatchRecommendRequest(), timeout=LIMIT_S)
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as error:
        next(served.answers.StreamRecommend(iter([pb.RecommendRequest()]), timeout=LIMIT_S))
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
