"""Where a session begins and ends: visits, expired states, erasures."""

import pytest

from nextclick.codec import DeadLetterReason as Reason
from nextclick.v1 import session_pb2 as pb
from records.session_life import Applied
from streaming.sessionize import DeadLetter, KeyState
from tests.unit.streaming.keyed_events import MINUTE, NOW, Session, items


def test_a_user_without_sessions_gets_one_for_each_visit():
    """Thirty idle minutes end a visit; an id is never given twice, whatever has been forgotten."""
    s = Session()
    one = {"session_id": "", "user_id": "42"}
    assert s.send(at=0, **one).session_id == f"u:42~{NOW}.0"
    assert s.send(at=30, **one).session_id == f"u:42~{NOW}.0"
    record = s.send(at=60.1, item="z", **one)
    assert record.session_id == f"u:42~{NOW + int(60.1 * MINUTE)}.2"
    assert items(record) == ["z"]
    assert (record.version, record.applied) == (1, 1)
    assert record.user_id == "42"


def test_a_late_event_does_not_open_a_users_next_session():
    """Only time that passes forward ends a visit."""
    s = Session()
    one = {"session_id": "", "user_id": "42"}
    s.send(at=40, **one)
    record = s.send(at=15, now=41, item="early", **one)
    assert record.session_id == f"u:42~{NOW + 40 * MINUTE}.0"
    assert items(record)[0] == "early"


DAYS = 24 * 60
"""In minutes."""


def test_a_session_that_returns_after_its_state_has_expired_begins_anew():
    """Readers take its next click as newer than all that they know of it."""
    s = Session()
    s.send(item="a", at=0)
    before = s.send(item="b", at=1 * DAYS)
    assert before.incarnation == NOW
    record = s.send(item="c", at=3 * DAYS + 1)
    assert items(record) == ["c"]
    assert (record.version, record.applied, record.step_count) == (1, 1, 1)
    assert record.incarnation == record.appended_ms == NOW + (3 * DAYS + 1) * MINUTE
    assert Applied.after(before).returns(record)


@pytest.mark.parametrize("fields", [{}, {"session_id": "", "user_id": "42"}])
def test_it_does_not_matter_when_flink_clears_an_expired_state(fields):
    """Flink counts processing time: a job that reads old events again must make the same lives."""
    kept, cleared = Session(), Session()
    for at in (0, 1, 3 * DAYS):
        cleared.state = None if at == 3 * DAYS else cleared.state
        again = cleared.send(at=at, **fields)
        record = kept.send(at=at, **fields)
    assert again == record


def test_a_dead_letter_does_not_end_an_expired_life():
    """Nor does it begin one: what is rejected changes nothing."""
    s = Session()
    s.send()
    state = s.state
    assert s.send(at=0, now=9 * DAYS).reason == Reason.TOO_LATE
    assert s.state is state


def test_a_session_goes_on_after_the_brokers_clock_was_ahead():
    """Readers refuse times from the future: all its records, until the clock is there again."""
    s = Session()
    s.send(at=0)
    assert s.send(item="b", at=1, now=DAYS).appended_ms == NOW + DAYS * MINUTE
    assert s.send(item="c", at=2, now=DAYS - 4).appended_ms == NOW + DAYS * MINUTE
    record = s.send(item="d", at=3)
    assert record.appended_ms == record.steps[-1].appended_ms == NOW + 3 * MINUTE
    assert items(record) == ["a", "b", "c", "d"]
    assert record.incarnation == NOW


def test_steps_say_when_their_events_arrived():
    """By these times a reader knows what it has learned, in whatever life it comes again."""
    s = Session()
    s.send(at=0)
    record = s.send(item="b", at=-1, now=2)
    assert [(step.item_id, step.appended_ms) for step in record.steps] == [
        ("b", NOW + 2 * MINUTE),
        ("a", NOW),
    ]
    assert record.appended_ms == NOW + 2 * MINUTE
    behind = s.send(kind="dislike", at=2, now=1)
    assert behind.appended_ms == NOW + 2 * MINUTE


def test_the_state_of_the_version_before_goes_on():
    """An upgrade must not end the sessions that are open."""
    s = Session()
    old = pb.SessionRecord(
        session_id="s", version=1, applied=1, step_count=1, last_timestamp_ms=NOW
    )
    old.steps.add(item_id="a", seq=1, timestamp_ms=NOW)
    s.state = KeyState(old, b"").to_bytes(old.SerializeToString())
    record = s.send(item="b", at=1)
    assert items(record) == ["a", "b"]
    assert (record.version, record.incarnation) == (2, 0)


def test_an_erased_session_stays_erased():
    """Its next event brought everything back: the job had kept what all others had erased."""
    s = Session()
    first = s.send(item="a", user_id="jane", event_id="1")
    assert s.feed(b"", append=NOW + MINUTE).session_id == "s"
    assert s.state is None
    record = s.send(item="b", at=2, event_id="1")
    assert (items(record), record.version, record.user_id) == (["b"], 1, "")
    assert Applied.after(first).returns(record)  # wherever the tombstone has not been read yet


def test_a_session_without_state_is_erased_by_its_key():
    """Its record is still in `sessions`, and in Redis, when the job's state has expired."""
    assert Session().feed(b"", b"s").session_id == "s"


def test_a_user_without_session_ids_is_erased_by_the_users_key():
    """The record's key names the user; `sessions` has the visit under an id of its own."""
    s = Session()
    visit = s.send(session_id="", user_id="jane").session_id
    assert s.feed(b"", b"u:jane").session_id == visit
    assert s.state is None


def test_an_erasure_needs_a_key_that_a_session_can_have():
    """Without one it would say nothing; a tombstone with another key could not be read."""
    s = Session()
    s.send()
    before = s.state
    assert isinstance(s.feed(b"", b""), DeadLetter)
    for key in (b"\xff", b"k" * 321):
        assert s.feed(b"", key).reason == Reason.WRONG_KEY
    assert s.state == before
