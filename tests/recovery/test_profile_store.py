"""What the session store writes of profiles, on each kind of Redis: versions, erasure, losses."""

import pytest

from connections.redis import masters_of
from nextclick.topics import PROFILES, redis_profile_key, redis_store_key
from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord
from streaming.session_batch import Batch, ProfileBatch
from streaming.session_writer import SessionWriter
from tests.recovery.test_store import KINDS, server  # noqa: F401 - the fixture

EXPIRY_S = 2_000


def began(server, of):  # noqa: F811 - the fixture
    """The writer of a topic, of a store that has just started."""
    masters = masters_of(server.settings, timeout_s=5, connect_timeout_s=5)
    made = SessionWriter(masters, "", EXPIRY_S, of)
    if not made.positions(f"id of {of}"):
        made.begin()
    return made


def profile(version, user_id="u", incarnation=100, appended_ms=100, sessions=1):
    return Profile(
        user_id=user_id,
        version=version,
        incarnation=incarnation,
        appended_ms=appended_ms,
        sessions=sessions,
    ).SerializeToString()


def batch(*values, first=0, user_id="u"):
    out = ProfileBatch()
    for offset, value in enumerate(values, first):
        out.add(0, offset, user_id.encode(), value, 1_000)
    return out


def held(server, user_id="u"):  # noqa: F811
    return server.admin.hget(redis_profile_key(user_id), "record")


@pytest.fixture(autouse=True)
def empty(server):  # noqa: F811
    server.admin.flushall()


def test_the_newest_profile_stays_whatever_is_written_again(server):  # noqa: F811
    """A store that reads the log again must not take users back to yesterday."""
    writer = began(server, PROFILES)
    assert writer.write(batch(profile(3)))
    assert writer.write(batch(profile(1), profile(2)))
    assert held(server) == profile(3)
    again = profile(3, sessions=2)
    assert writer.write(batch(again))
    assert held(server) == again, "of a version, the last record counts"
    assert writer.write(batch(profile(1, incarnation=50, appended_ms=60)))
    assert held(server) == again
    assert writer.write(batch(profile(1, incarnation=200, appended_ms=200)))
    assert held(server) == profile(1, incarnation=200, appended_ms=200)
    assert 0 < server.admin.ttl(redis_profile_key("u")) <= EXPIRY_S


def test_a_tombstone_erases_a_profile_and_nothing_else(server):  # noqa: F811
    """A user who is deleted is gone, and the session of the same user is not the profile's."""
    sessions, profiles = began(server, "sessions"), began(server, PROFILES)
    session = Batch()
    record = SessionRecord(session_id="s", user_id="u", version=1, last_timestamp_ms=1)
    session.add(0, 0, b"s", record.SerializeToString(), 1)
    assert sessions.write(session)
    assert profiles.write(batch(profile(1)))
    assert profiles.write(batch(None, first=1))
    assert held(server) is None
    assert server.admin.hget("nextclick:u:u", "record") == b"s"
    assert profiles.write(batch(profile(1, incarnation=300, appended_ms=300), first=2))
    assert held(server) is not None


def test_each_topic_has_its_own_positions_and_notices_its_own_losses(server):  # noqa: F811
    """A profile that was lost must come again, and no session need be read for that."""
    sessions, profiles = began(server, "sessions"), began(server, PROFILES)
    assert profiles.write(batch(profile(1)))
    assert sessions.write(Batch(positions={0: 7}))
    assert profiles.write(batch(profile(2), first=1))
    assert sessions.in_step()
    assert profiles.in_step()
    assert began(server, PROFILES).positions(f"id of {PROFILES}") == {0: 2}
    server.admin.delete(redis_store_key(of=PROFILES))
    assert not profiles.write(batch(profile(3), first=2))
    assert sessions.in_step()
    assert began(server, "sessions").positions("id of sessions") == {0: 7}
    anew = began(server, PROFILES)
    assert anew.write(batch(profile(3)))
    assert held(server) == profile(3)


def test_every_kind_of_redis_is_tested():
    """The script runs otherwise on a cluster: key by key."""
    assert set(KINDS) == {"one server", "TLS and users", "cluster"}
