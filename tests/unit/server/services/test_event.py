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
from server.services import event_times
from server.services.event import Events
from server.services.event_times import MARGIN_MS, TAKEN_MS
from settings.jobs import JobSettings
from settings.load import load
from settings.server import ServerSettings
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, KeyState, process

NOW_MS = 1_764_245_000_000


class Job:
    """The broker, the sessions job and a replica that reads its output, at once or later.

    Parameters
    ----------
    skew_ms
        How far the broker's clock is ahead of the server's.
    late
        Whether the replica reads only what it is told to, by `read`.
    """

    def __init__(self, skew_ms=0, *, late=False):
        limits = Limits(max_items=16, max_sessions=16, pairs=16)
        self.replica = Replica(Engine(limits, sample=0, remote=True))
        self.now_ms, self.skew_ms, self.late = NOW_MS, skew_ms, late
        self.states, self.dead, self.unread = {}, [], []
        self._offsets = itertools.count()
        self._life_ms = load(JobSettings).session_life_ms
        settings = load(ServerSettings)
        self.events = Events(self, self.replica, settings, lambda: self.now_ms / 1_000)

    def put(self, topic, records, timeout_s):
        arrived_ms = self.now_ms + self.skew_ms
        for key, value in records:
            raw = RawRecord(value, key.encode(), topic, 0, next(self._offsets), arrived_ms)
            state = self.states.get(key)
            self.states[key], outcome = process(state, raw, life_ms=self._life_ms)
            if isinstance(outcome, DeadLetter):
                self.dead.append(outcome)
            else:
                self.unread.append(outcome)
        if not self.late:
            self.read()
        return [Outcome("", arrived_ms) for _ in records]

    def read(self):
        for update in self.unread:
            self.replica.apply_session(update.session_id.encode(), update.record)
        self.unread.clear()

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
    job.now_ms += SESSION_LIFE_MS + MARGIN_MS + 1
    assert job.send(NOW_MS - MAX_LATE_MS - 1).accepted == 1
    assert not job.dead


@pytest.mark.parametrize(("days", "accepted"), [(30, 0), (1, 1)])
def test_a_session_lives_as_long_as_the_jobs_setting_says(days, accepted, monkeypatch):
    """The server went by the default: with a longer life, dead letters were acknowledged."""
    monkeypatch.setenv("NEXTCLICK_STATE_TTL_S", str(days * 24 * 3_600))
    job = Job()
    job.send(NOW_MS)
    job.now_ms += 3 * DAY_MS
    assert job.send(NOW_MS - 2 * MAX_LATE_MS).accepted == accepted
    assert not job.dead


def test_a_broker_whose_clock_is_behind_keeps_a_session_for_longer():
    """By the server's clock, its state was gone."""
    job = Job(skew_ms=-MARGIN_MS)
    job.send(NOW_MS)
    job.now_ms += SESSION_LIFE_MS - MARGIN_MS // 2
    assert job.send(NOW_MS - 2 * MAX_LATE_MS).accepted == 0
    assert not job.dead


def test_an_event_that_changes_nothing_keeps_its_session_alive():
    """Its record has no new version, but the job counts the life from its arrival."""
    job = Job()
    job.send(NOW_MS)
    job.now_ms += SESSION_LIFE_MS - MINUTE_MS
    job.send(job.now_ms, kind="scroll")
    job.now_ms += DAY_MS
    assert job.send(NOW_MS - 2 * MAX_LATE_MS).accepted == 0
    assert not job.dead


@pytest.mark.parametrize("visitor", [{"session_id": "s"}, {"user_id": "u"}])
def test_what_was_acknowledged_a_moment_ago_is_known_before_it_is_read(visitor):
    """Two calls within the delay of the log: the second one became a dead letter."""
    job = Job(late=True)
    assert job.send(NOW_MS, **visitor).accepted == 1
    job.now_ms += TAKEN_MS
    assert job.send(NOW_MS - 2 * MAX_LATE_MS, **visitor).accepted == 0
    assert job.send(NOW_MS - MAX_LATE_MS, **visitor).accepted == 1
    assert not job.dead


def test_what_was_acknowledged_a_moment_ago_is_known_of_an_evicted_session():
    """More sessions at once than the models hold."""
    job = Job()
    job.send(NOW_MS)
    for n in range(32):
        job.send(NOW_MS, session_id=f"other {n}")
    assert job.replica.sessions.get("s") is None
    assert job.send(NOW_MS - 2 * MAX_LATE_MS).accepted == 0
    assert not job.dead


def test_so_many_sessions_are_remembered_and_the_latest(monkeypatch):
    """A server must not grow with the sessions that it has seen."""
    monkeypatch.setattr(event_times, "TAKEN", 2)
    job = Job(late=True)
    for name in "abcdbe":
        assert job.send(NOW_MS, session_id=name).accepted == 1
    late = [job.send(NOW_MS - 2 * MAX_LATE_MS, session_id=name).accepted for name in "be"]
    assert late == [0, 0]
    assert job.send(NOW_MS - 2 * MAX_LATE_MS, session_id="a").accepted == 1


@pytest.mark.parametrize("reloaded", [False, True])
@pytest.mark.parametrize("named_first", [False, True])
def test_a_users_events_without_a_session_have_a_session_of_their_own(named_first, reloaded):
    """A page that sends the session's id beside one that does not: two sessions of one user."""
    job = Job()
    visits = [({"user_id": "u"}, 0), ({"user_id": "u", "session_id": "s"}, MINUTE_MS)]
    for visitor, ahead_ms in reversed(visits) if named_first else visits:
        assert job.send(NOW_MS + ahead_ms, **visitor).accepted == 1
    job.now_ms += 2 * TAKEN_MS
    if reloaded:
        rows = list(job.replica.sessions.dump())
        job.replica.sessions.__init__(job.replica.engine)
        job.replica.sessions.load(rows)
    assert job.replica.sessions.current_session("u") == "s"
    assert job.send(NOW_MS - 2 * MAX_LATE_MS, user_id="u").accepted == 0
    assert job.send(NOW_MS - MAX_LATE_MS, user_id="u").accepted == 1
    assert not job.dead


def test_a_visit_after_an_expired_one_may_be_of_an_earlier_time():
    """The user's events are compared with the visit that began last, not with the latest clicks."""
    job = Job()
    job.send(NOW_MS, user_id="u")
    job.now_ms += SESSION_LIFE_MS + 2 * MARGIN_MS
    assert job.send(NOW_MS - DAY_MS, user_id="u").accepted == 1
    job.now_ms += 2 * TAKEN_MS
    assert job.send(NOW_MS - DAY_MS - 2 * MAX_LATE_MS, user_id="u").accepted == 0
    assert not job.dead


@pytest.mark.parametrize("kind", ["add_to_cart", "rating"])
def test_what_may_be_a_step_counts_as_one(kind):
    """It adds a step where the last one is of another item."""
    job = Job(late=True)
    assert job.send(NOW_MS, kind=kind).accepted == 1
    assert job.send(NOW_MS - 2 * MAX_LATE_MS).accepted == 0
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


SENT = st.tuples(
    st.sampled_from([{"session_id": "s"}, {"user_id": "u"}, {"user_id": "u", "session_id": "t"}]),
    st.sampled_from(["view", "add_to_cart", "rating", "dislike", "scroll"]),
    st.integers(-3 * DAY_MS, 0) | st.integers(-90 * MINUTE_MS, 5 * MINUTE_MS),
)
"""An event: its visitor, its type, and how far its time is from now."""

THEN = st.sampled_from([0, TAKEN_MS // 8, 20 * MINUTE_MS, DAY_MS, SESSION_LIFE_MS])


@given(st.lists(st.tuples(SENT, THEN), max_size=8), st.booleans())
def test_nor_does_any_that_comes_before_the_replica_has_read_the_last_ones(sent, late):
    """Whatever the visitors send, and however long they are away."""
    job = Job(late=late)
    for (visitor, kind, away_ms), pause_ms in sent:
        job.send(job.now_ms + away_ms, kind=kind, **visitor)
        job.now_ms += pause_ms
        if pause_ms > TAKEN_MS:
            job.read()
    assert not job.dead


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
