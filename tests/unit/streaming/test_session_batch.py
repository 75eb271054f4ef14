"""What of a slice of `sessions` is written to Redis, without Redis."""

import itertools

import pytest

from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from streaming.session_batch import Batch

S, U = redis_session_key("s"), redis_user_key("jane")


def record(session_id="s", user_id="jane", at=1):
    return SessionRecord(
        session_id=session_id, user_id=user_id, version=1, last_timestamp_ms=at
    ).SerializeToString()


def test_a_tombstone_takes_along_what_points_to_its_session():
    """Otherwise a slice with the session and its tombstone would write its user all the same, or
    leave the one in Redis, where the session's master was emptied and the user's was not."""
    batch = Batch()
    batch.add(0, 0, b"s", record())
    assert batch.entries.keys() == {S, U}
    batch.add(0, 1, b"s", None)
    assert (batch.entries, batch.erased, batch.users) == ({}, {S: b"s"}, {U: b"s"})


def test_a_user_who_has_gone_on_to_another_session_is_kept():
    """Only the erased session is erased: the user's later one is still found."""
    batch = Batch()
    batch.add(0, 0, b"s", record())
    batch.add(0, 1, b"t", record("t", at=2))
    batch.add(0, 2, b"s", None)
    assert batch.entries[U][-1] == b"t"
    batch.add(0, 3, b"s", record(at=3))
    assert batch.erased == {}
    assert batch.entries[U][-1] == b"s"


OLDEST_FIRST = [(100, 8, 107), (900, 1, 900), (900, 2, 901), (100, 11, 902), (100, 12, 903)]
"""Incarnation, version, time of arrival: a visit, the next one, and both after they were joined."""


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OLDEST_FIRST, 2)))
def test_the_newer_of_two_records_stays_in_any_order(one, other):
    """A job that starts from nothing may divide a session into other lives than before."""
    for order in ((one, other), (other, one)):
        batch = Batch()
        for offset, (incarnation, version, appended_ms) in enumerate(order):
            record = SessionRecord(
                session_id="s", incarnation=incarnation, version=version, appended_ms=appended_ms
            )
            batch.add(0, offset, b"s", record.SerializeToString())
        (entry,) = batch.entries.values()
        kept = SessionRecord.FromString(entry[-1])
        assert (kept.incarnation, kept.version, kept.appended_ms) == other
