"""The store's loop of `profiles`; what it writes to Redis is tested on a real one."""

import threading

import pytest

from nextclick.topics import PROFILES, redis_profile_key, redis_store_key
from nextclick.v1.profile_pb2 import Profile
from settings.store import StoreSettings
from streaming import store
from streaming.session_batch import ProfileBatch
from streaming.store import SessionStore
from tests.unit.streaming.test_store import FakeConsumer


def record(user_id, version, incarnation=100, appended_ms=100):
    return Profile(
        user_id=user_id, version=version, incarnation=incarnation, appended_ms=appended_ms
    ).SerializeToString()


def test_the_newest_profile_of_a_batch_is_written():
    """Of a life the highest version, and the last of those: a job that failed tells it again."""
    batch = ProfileBatch("shop")
    again = Profile(user_id="u", version=3, incarnation=100, appended_ms=100, sessions=1)
    for offset, value in enumerate(
        [record("u", 2), record("u", 3), record("u", 1), again.SerializeToString()]
    ):
        batch.add(0, offset, b"u", value, 1_000)
    batch.add(1, 7, b"v", record("v", 1), 1_000)
    assert batch.entries == {
        "nextclick:shop:p:u": (100, 100, 3, again.SerializeToString()),
        "nextclick:shop:p:v": (100, 100, 1, record("v", 1)),
    }
    assert batch.positions == {0: 4, 1: 8}


def test_a_tombstone_erases_a_profile_until_a_new_one_comes():
    """A user who was deleted and comes back is there again, with what came after."""
    batch = ProfileBatch()
    key = redis_profile_key("u")
    batch.add(0, 0, b"u", record("u", 2), 1_000)
    batch.add(0, 1, b"u", None, 1_000)
    assert (batch.entries, batch.erased) == ({}, {key: b"u"})
    assert not batch.users
    assert batch.user_of(record("u", 2)) == ""
    batch.add(0, 2, b"u", record("u", 1, 500, 500), 1_000)
    assert not batch.erased
    assert batch.entries[key][:3] == (500, 500, 1)


def test_profiles_that_cannot_be_used_are_passed_over():
    """One record that is broken must not hold up those after it."""
    batch = ProfileBatch()
    for offset, value in enumerate(
        [b"\xff", record("", 1), record("u", 1, 0, 1 << 42), record("v", 1)]
    ):
        batch.add(0, offset, b"u", value, 1_000)
    assert not batch.entries
    assert batch.positions == {0: 4}


def test_each_topic_has_positions_of_its_own():
    """With one mark for both, whichever wrote first would take the other for one that was lost."""
    assert redis_store_key("shop") == "nextclick:shop:store"
    assert redis_store_key("shop", PROFILES) == "nextclick:shop:store-profiles"


@pytest.fixture
def stores(monkeypatch):
    monkeypatch.setattr(store, "Consumer", FakeConsumer)
    settings = StoreSettings(profile_ttl_s=77)
    return [SessionStore(settings, of) for of in ("sessions", PROFILES)]


def test_profiles_expire_by_a_setting_of_their_own(stores):
    """A session is of use for a month, a profile for half a year."""
    assert [one._writer._expiry_s for one in stores] == [30 * 24 * 3_600, 77]
    assert [one._read for one in stores] == ["sessions", "profiles"]


def test_a_loop_that_fails_ends_the_process(stores):
    """Half a store would look healthy, while profiles grow old in Redis."""

    def fails():
        raise RuntimeError("broken")

    stores[0].run = stores[0]._stop.wait
    stores[1].run = fails
    ended = []

    def run():
        with pytest.raises(RuntimeError, match="broken"):
            store.run(stores)
        ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert ended
