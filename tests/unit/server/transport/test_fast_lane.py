"""Unary calls: what is answered here, what is left to grpc, and that nothing gets lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from prometheus_client import REGISTRY

from server.transport.fast_lane import (
    MESSAGE_S,
    NOT_CHECKED,
    SILENT,
    TOO_LATE,
    Aside,
    FastLane,
    Reply,
)
from server.transport.pool import Pool
from tests.unit.server.transport.served import LIMIT_S, Clock, Served, refused, until

FAST, SLOW = "/test.Lane/Fast", "/test.Lane/Slow"
MAX_ASIDE = 32


class Lane:
    """A server with one fast and one stock call; both answer twice the message."""

    def __init__(self, gate=None, behaviour=None):
        self.threads, self.after = set(), 0
        self.server = grpc.server(ThreadPoolExecutor(2))
        behaviour = behaviour or self.double
        handlers = {"Slow": grpc.unary_unary_rpc_method_handler(lambda raw, context: raw + raw)}
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Lane", handlers),)
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.lane = FastLane(self.server, {FAST: behaviour}, gate, self.count)
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


def test_a_gate_sees_every_call_with_its_metadata_and_lets_it_pass(lanes):
    """Calls of both kinds go one way to whoever decides on them."""
    seen = []

    def gate(path, metadata, behaviour):
        seen.append((path, dict(metadata)["who"], behaviour is not None))
        return behaviour

    lane = lanes(gate)
    for method in (FAST, SLOW):
        assert lane.call(method, metadata=(("who", "me"),)) == b"abab"
    assert seen == [(FAST.encode(), "me", True), (SLOW.encode(), "me", False)]
    assert lane.threads == {"answers"}


@pytest.mark.parametrize("method", [FAST, SLOW, "/test.Lane/None"])
def test_what_a_gate_refuses_is_closed_before_its_message_has_come(lanes, silence, method):
    """A caller without a right costs no thread, no message, and no other call its turn."""
    fault = Reply(b"", grpc.StatusCode.PERMISSION_DENIED.value[0], "not you", (("why", "you"),))
    lane = lanes(lambda path, metadata, behaviour: None if ("good", "") in metadata else fault)
    refused_calls = [lane.channel.stream_unary(method).future(silence()) for _ in range(100)]
    for call in refused_calls:
        assert call.code() == grpc.StatusCode.PERMISSION_DENIED
        assert (call.details(), ("why", "you") in call.trailing_metadata()) == ("not you", True)
    assert lane.call(SLOW, metadata=(("good", ""),)) == b"abab"
    assert not lane.threads
    until(lambda: not lane.server._state.rpc_states)


def test_a_gate_may_give_another_behaviour(lanes):
    """As that which writes a line for the audit log."""
    lane = lanes(lambda path, metadata, behaviour: lambda *_: Reply(b"another"))
    assert lane.call() == b"another"


def test_nobody_passes_a_gate_that_fails(lanes):
    """A bug must not open the door, nor end the thread that answers."""
    broken = [True]

    def gate(path, metadata, behaviour):
        if broken:
            raise KeyError(path)
        return behaviour

    lane = lanes(gate)
    for method in (FAST, SLOW):
        with pytest.raises(grpc.RpcError) as error:
            lane.call(method)
        assert error.value.details() == NOT_CHECKED.details
    assert not lane.threads
    broken.clear()
    assert lane.call() == b"abab"


def test_a_drain_does_not_wait_for_calls_that_were_refused(lanes, silence):
    """Their clients may never have read the refusal."""
    fault = Reply(b"", grpc.StatusCode.UNAUTHENTICATED.value[0], "no")
    lane = lanes(lambda *_: fault)
    calls = [lane.channel.stream_unary(FAST).future(silence()) for _ in range(20)]
    assert {call.code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
    assert lane.server.stop(LIMIT_S).wait(LIMIT_S)


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
