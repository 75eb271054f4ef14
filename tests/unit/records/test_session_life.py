"""Which record of a session is newer, and which of its steps are: across its lives."""

import pytest

from nextclick.v1.session_pb2 import SessionRecord
from records.session_life import UNKNOWN, Applied


def record(incarnation, *appended_ms):
    """The record of a life whose steps arrived at these times."""
    out = SessionRecord(
        incarnation=incarnation, version=len(appended_ms), appended_ms=max(appended_ms, default=0)
    )
    for seq, time_ms in enumerate(appended_ms, 1):
        out.steps.add(item_id=f"i{time_ms}", seq=seq, appended_ms=time_ms)
    return out


EIGHT = Applied.after(record(100, *range(100, 108)))
"""A reader that has applied eight steps."""


def test_a_session_that_returns_is_newer_than_all_its_past():
    """Its first click would be ignored for a version below that of the last visit."""
    returned = record(900, 900)
    assert EIGHT.precedes(returned)
    assert EIGHT.returns(returned)
    assert EIGHT.version_in(returned) == 0
    assert not Applied.after(returned).precedes(record(100, *range(100, 110)))


def test_within_a_life_the_version_decides():
    """Records are repeated after every restart of the job."""
    assert EIGHT.precedes(record(100, *range(100, 109)))
    assert not EIGHT.returns(record(100, *range(100, 109)))
    assert EIGHT.version_in(record(100, *range(100, 109))) == 8
    assert not EIGHT.precedes(record(100, *range(100, 108)))


@pytest.mark.parametrize(("to", "known"), [(109, 5), (120, 5), (158, 0)])
def test_a_life_that_began_anew_with_known_events_brings_only_its_new_ones(to, known):
    """The job had to start from nothing, with the first three events gone: five are known."""
    again = record(103, *range(103, to))
    del again.steps[:-50]
    assert not EIGHT.precedes(record(103, *range(103, 108)))
    assert EIGHT.precedes(again)
    assert not EIGHT.returns(again)
    news = [step.appended_ms for step in again.steps if step.seq > EIGHT.version_in(again)]
    assert news == [time_ms for time_ms in range(103, to)[-50:] if time_ms > 107]
    assert EIGHT.version_in(again) == known


def test_two_lives_that_became_one_bring_what_is_new():
    """The life of state was raised, and the job started from nothing: the visitor went unread."""
    second = Applied.after(record(900, 900, 901))
    for n in range(1, 11):
        assert not second.precedes(record(100, *[*range(100, 108), 900, 901][:n]))
    merged = record(100, *range(100, 108), 900, 901, 902)
    assert second.precedes(merged)
    assert not second.returns(merged)
    assert second.version_in(merged) == 10
    after = Applied.after(merged)
    assert not after.precedes(merged)
    assert not after.precedes(record(900, 900, 901)), "read again"
    assert after.version_in(record(100, *range(100, 108), *range(900, 904))) == 11


def test_a_life_that_became_two_brings_what_is_new():
    """The life of state was lowered, and the job started from nothing."""
    merged = Applied.after(record(100, *range(100, 108), 900, 901))
    assert not merged.precedes(record(900, 900, 901))
    assert merged.precedes(record(900, 900, 901, 902))
    assert merged.version_in(record(900, 900, 901, 902)) == 2


def test_a_reader_without_a_place_takes_records_of_any_age():
    """Old records have no incarnation; new ones may begin with an event that is no step."""
    old = SessionRecord(version=2)
    assert UNKNOWN.precedes(old)
    assert UNKNOWN.version_in(old) == 0
    new = SessionRecord(incarnation=5, appended_ms=5)
    assert UNKNOWN.precedes(new)
    assert Applied.after(old).precedes(new)
    assert not Applied.after(new).precedes(new)
