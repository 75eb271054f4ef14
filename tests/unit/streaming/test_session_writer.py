"""What of a slice of `sessions` is written to Redis, without Redis."""

from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from streaming.session_writer import Batch

S, U = redis_session_key("s"), redis_user_key("jane")


def record(session_id="s", user_id="jane", at=1):
    return SessionRecord(
        session_id=session_id, user_id=user_id, version=1, last_timestamp_ms=at
    ).SerializeToString()


def test_a_tombstone_takes_along_what_points_to_its_session():
    """Otherwise a slice with the session and its tombstone would write its user all the same."""
    batch = Batch()
    batch.add(0, 0, b"s", record())
    assert batch.entries.keys() == {S, U}
    batch.add(0, 1, b"s", None)
    assert (batch.entries, batch.erased) == ({}, {S: b"s"})


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
