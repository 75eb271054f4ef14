"""PutEvents: whatever it acknowledges, the sessions job applies."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from nextclick.limits import (
    DAY_MS,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_LATE_MS,
    MINUTE_MS,
    SESSION_LIFE_MS,
)
from nextclick.v1 import event_service_pb2 as pb
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.kafka.acked_producer import Outcome
from server.replica.replica import Replica
from server.services.event import Events
from server.services.event_times import MARGIN_MS
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, KeyState, process

NOW_MS = 1_764_245_000_000


class Job:
    """The broker, the sessions job and a replica that reads its output at once.

    Parameters
    ----------
    skew_ms
        How far the broker's clock is ahead of the server's.
    """

    def __init__(self, skew_ms=0):
        limits = Limits(max_items=16, max_sessions=16, pairs=16)
        self.replica = Replica(Engine(limits, sample=0, remote=True))
        self.now_ms, self.skew_ms = NOW_MS, skew_ms
        self.states, self.dead, self.outcomes = {}, [], []
        self._offsets = itertools.count()
        self.events = Events(self, self.replica, "", lambda: self.now_ms / 1_000)

    def put(self, topic, records, timeout_s):
        arrived_ms = self.now_ms + self.skew_ms
        for key, value in records:
            raw = RawRecord(value, key.encode(), topic, 0, next(self._offsets), arrived_ms)
            self.states[key], outcome = process(self.states.get(key), raw)
            if isinstance(outcome, DeadLetter):
                self.dead.append(outcome)
            else:
                self.replica.apply_session(outcome.session_id.encode(), outcome.record)
        return [Outcome("", arrived_ms) for _ in records]

    def send(self, *times_ms, kind="view", **visitor):
        visitor = visitor or {"session_id": "s"}
        events = [
            pb.Event(type=kind, item_id="a", timestamp_ms=time_ms, **visitor)
            for time_ms in times_ms
        ]
        request = pb.PutEventsRequest(events=events).SerializeToString()
        return pb.PutEventsResponse.FromString(self.events.put_events(request, None))


def told(response):
    return [(f.field, f.description) for error in response.errors for f in error.faults]


@pytest.mark.parametrize(
    ("time_ms", "words"),
    [
        (NOW_MS // 1_000, "it looks like seconds"),
        (NOW_MS * 1_000, "it looks like microseconds"),
        (NOW_MS + DAY_MS, "after its arrival"),
        (NOW_MS - 8 * DAY_MS, "before its arrival"),
    ],
)
def test_a_time_that_the_job_would_refuse_is_refused_with_the_unit_that_was_meant(time_ms, words):
    """The caller would never hear of the dead letter, and look for the clicks elsewhere."""
    job = Job()
    response = job.send(time_ms, NOW_MS)
    [(field, description)] = told(response)
    assert field == "timestamp_ms"
    assert words in description
    assert (response.accepted, response.errors[0].index, response.errors[0].retryable) == (1, 0, 0)
    assert not job.dead


@pytest.mark.parametrize("visitor", [{"session_id": "s"}, {"user_id": "u"}])
def test_a_step_too_far_behind_its_session_is_refused(visitor):
    """Whether the session's last step came in an earlier call, or in this one."""
    job = Job()
    old_ms = NOW_MS - MAX_LATE_MS - 1
    assert job.send(NOW_MS, old_ms, **visitor).accepted == 1
    response = job.send(old_ms, old_ms + 1, **visitor)
    assert response.accepted == 1
    [(field, description)] = told(response)
    assert field == "timestamp_ms"
    assert "before the last step of its session" in description
    assert not job.dead


def test_a_session_whose_state_has_expired_takes_older_steps():
    """It begins anew: what the replica still knows of it is a past session."""
    job = Job()
    job.send(NOW_MS)
    job.now_ms += SESSION_LIFE_MS + 1
    assert job.send(NOW_MS - MAX_LATE_MS - 1).accepted == 1
    assert not job.dead


def test_what_is_no_step_makes_no_later_step_late():
    """A dislike is no step, and the job compares with steps alone."""
    job = Job()
    assert job.send(NOW_MS, kind="dislike").accepted == 1
    assert job.send(NOW_MS - MAX_LATE_MS - 1).accepted == 1
    assert not job.dead


@pytest.mark.parametrize("skew_ms", [0, MARGIN_MS, -MARGIN_MS])
def test_the_brokers_clock_may_differ(skew_ms):
    """Nothing at the edge may be acknowledged and then thrown away."""
    job = Job(skew_ms)
    edges = [NOW_MS + MAX_AHEAD_MS, NOW_MS - MAX_AGE_MS]
    for n, edge in enumerate(edges):
        near = range(-2 * MARGIN_MS, 2 * MARGIN_MS + 1, MARGIN_MS // 3)
        for m, away_ms in enumerate(near):
            job.send(edge + away_ms, session_id=f"{n}.{m}")
    assert len(job.states) > 4
    assert not job.dead


def test_a_broker_whose_clock_is_far_away_is_told_of():
    """The event is in the topic and will be a dead letter: at least its sender hears of it."""
    job = Job(skew_ms=-10 * MINUTE_MS)
    response = job.send(NOW_MS)
    assert response.accepted == 0
    assert "after its arrival" in told(response)[0][1]
    assert len(job.dead) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(-9 * DAY_MS, DAY_MS) | st.integers(-90 * MINUTE_MS, 10 * MINUTE_MS),
        ),
        max_size=20,
    )
)
def test_nothing_that_is_acknowledged_becomes_a_dead_letter_for_its_time(sent):
    """Whatever the order of whatever times: one rule, at the server and in the job."""
    job = Job()
    accepted = sum(job.send(NOW_MS + away, session_id=name).accepted for name, away in sent)
    assert not job.dead
    states = [KeyState.from_bytes(state) for state in job.states.values()]
    assert accepted == sum(state.session.step_count for state in states)


def counted():
    names = ("accepted", "refused", "not_acknowledged")
    value = REGISTRY.get_sample_value
    return [value("nextclick_events_total", {"outcome": name}) or 0 for name in names]


def test_events_are_counted_by_their_outcome():
    """An operator sees there whether callers or Kafka are at fault."""
    before = counted()
    Job().send(NOW_MS, NOW_MS, NOW_MS // 1_000)
    Job(skew_ms=-10 * MINUTE_MS).send(NOW_MS)  # acknowledged, and refused for its arrival
    deaf = Job()
    deaf.put = lambda topic, records, timeout_s: [Outcome("not in time") for _ in records]
    assert deaf.send(NOW_MS, NOW_MS, NOW_MS).errors[0].retryable
    assert [now - was for now, was in zip(counted(), before, strict=True)] == [2, 2, 3]
