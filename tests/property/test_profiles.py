"""Profiles under any course of events: each step is counted once, whatever order sessions are in.

The oracle knows nothing of open sessions, notes and timers: it reads the last record of each life
of each session, and adds up its steps.
"""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick.event_types import EVENT_TYPES
from nextclick.limits import PROFILE_HALF_LIFE_MS
from nextclick.v1 import session_pb2 as pb
from streaming.profiles import ERASED_SESSIONS
from tests.unit.streaming.profiled_user import DAY, Job, items

STRENGTHS = {getattr(pb, kind.enum_name): kind.strength for kind in EVENT_TYPES}
KINDS = ["view", "click", "add_to_cart", "purchase", "like", "dislike", "unknown"]
SESSIONS = ["s1", "s2", "s3", ""]


class Repeating(Job):
    """Hands over records again that it has handed over, as Flink does after a failure."""

    def __init__(self, again):
        super().__init__()
        self.again = again
        self.records = []

    def hand(self, user, raw):
        super().hand(user, raw)
        self.records.append(raw)
        for back in self.again.get(len(self.records), ()):
            if back <= len(self.records) and self.records[-back].topic != ERASED_SESSIONS:
                before, log = self.users.get(user), len(self.log)
                super().hand(user, self.records[-back])
                assert self.users.get(user) == before
                assert len(self.log) == log


@st.composite
def courses(draw):
    """Events of one user, in up to four sessions side by side, with pauses up to days."""
    at, course = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        at += draw(st.sampled_from([0, 1, 5, 29, 31, 61, 2 * DAY + 1, 5 * DAY]))
        kind, session = draw(st.sampled_from(KINDS)), draw(st.sampled_from(SESSIONS))
        course.append((draw(st.sampled_from("abcdef")), at, kind, session))
    return course


def last_records(job):
    """The last record of each life of each session."""
    last = {}
    for raw in job.records:
        record = pb.SessionRecord.FromString(raw.value)
        last[record.session_id, record.incarnation] = record
    return list(last.values())


@settings(max_examples=200, deadline=None)
@given(courses(), st.dictionaries(st.integers(1, 40), st.lists(st.integers(1, 5), max_size=2)))
def test_each_step_is_counted_once(course, again):
    """If it failed, a user with two tabs, or a job that failed, would weigh more than others."""
    job = Repeating(again)
    for item, at, kind, session in course:
        job.send(item, at, kind, session=session)
    job.pass_to(course[-1][1] + DAY)
    records = last_records(job)
    steps = [step for record in records for step in record.steps]
    by_item = defaultdict(list)
    for step in steps:
        by_item[step.item_id].append(step)
    profile = job.profile()
    if not steps:
        assert not items(profile)
        return
    assert profile.steps == len(steps)
    assert profile.sessions == sum(bool(record.steps) for record in records)
    assert profile.first_timestamp_ms == min(step.timestamp_ms for step in steps)
    assert profile.last_timestamp_ms == max(step.timestamp_ms for step in steps)
    assert sorted(items(profile)) == sorted(by_item)
    times = [item.last_timestamp_ms for item in profile.items]
    assert times == sorted(times)
    for item in profile.items:
        of_item = by_item[item.item_id]
        last_ms = max(step.timestamp_ms for step in of_item)
        ages = [last_ms - step.timestamp_ms for step in of_item]
        assert item.steps == len(of_item)
        assert item.last_timestamp_ms == last_ms
        assert item.type == max((step.type for step in of_item), key=lambda t: (STRENGTHS[t], t))
        assert item.sessions == sum(
            any(step.item_id == item.item_id for step in record.steps) for record in records
        )
        weight = sum(0.5 ** (age / PROFILE_HALF_LIFE_MS) for age in ages)
        assert abs(item.weight - weight) < 1e-5 * weight
    bought = {s.item_id: s.timestamp_ms for s in steps if s.type == pb.EVENT_TYPE_PURCHASE}
    assert {mark.item_id for mark in profile.purchased} == set(bought)
    hidden = {item_id for record in records for item_id in record.hidden_item_ids}
    assert {mark.item_id for mark in profile.disliked} == hidden


@settings(max_examples=100, deadline=None)
@given(courses())
def test_the_same_records_at_the_same_times_give_the_same_bytes(course):
    """After a failure the job publishes what it has published before."""
    logs = []
    for _ in range(2):
        job = Job()
        for item, at, kind, session in course:
            job.send(item, at, kind, session=session)
        logs.append([(key, record and record.SerializeToString()) for key, record in job.log])
    assert logs[0] == logs[1]
    versions = [(r.incarnation, r.version) for _, r in job.log if r is not None]
    assert versions == sorted(set(versions)), "readers keep the highest version of a life"


@settings(max_examples=100, deadline=None)
@given(courses(), st.data())
def test_nothing_of_an_erased_session_stays(course, data):
    """Its items are those of its last record; others may keep theirs only if it had them not."""
    job = Job()
    handed = {}
    take = job.hand
    job.hand = lambda user, raw: (handed.__setitem__(len(handed), raw), take(user, raw))
    for item, at, kind, session in course:
        job.send(item, at, kind, session=session)
    key = data.draw(st.sampled_from(["s1", "s2", "s3"]))
    before = len(handed)
    job.erase(key)
    if len(handed) == before:
        return  # the job has nothing of such a session any more
    erased = pb.SessionRecord.FromString(handed[before].value)
    gone = {step.item_id for step in erased.steps} | {*erased.hidden_item_ids}
    profile = job.profile()
    if profile is not None:
        for held in (profile.items, profile.purchased, profile.liked, profile.disliked):
            assert not gone & {entry.item_id for entry in held}
