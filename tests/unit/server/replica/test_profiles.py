"""Profiles in memory: which of them stay, what is newest, what answers take of one."""

import pytest

from nextclick import User, encode_user
from nextclick.v1 import session_pb2 as pb
from nextclick.v1.profile_pb2 import Profile, ProfileItem, ProfileMark
from online_models.memory.layout import Limits
from records.errors import RecordError
from records.past import NEVER, STRANGER, known
from server.replica import profiles as module
from server.replica import snapshot
from server.replica.profiles import STRANGER_S, Profiles


def profile(user_id="u", version=1, items=("a",), incarnation=100, appended_ms=100, **fields):
    held = [
        ProfileItem(item_id=item_id, steps=1, sessions=1, last_timestamp_ms=1_000 * at, weight=1)
        for at, item_id in enumerate(items, 1)
    ]
    return Profile(
        user_id=user_id,
        version=version,
        incarnation=incarnation,
        appended_ms=appended_ms,
        items=held,
        **fields,
    )


def put(profiles, *args, **fields):
    made = profile(*args, **fields)
    profiles.put(made, made.SerializeToString())


def test_what_answers_take_of_a_profile_is_what_it_says():
    """What was hidden or bought, and when: the filters of an answer go by it."""
    made = profile(items="abcd", steps=8, repeated_steps=2)
    made.items[0].type = pb.EVENT_TYPE_PURCHASE
    made.items[1].type = pb.EVENT_TYPE_LIKE
    made.purchased.extend([ProfileMark(item_id="c", timestamp_ms=5), ProfileMark(item_id="z")])
    made.liked.extend([ProfileMark(item_id="c"), ProfileMark(item_id="y")])
    made.disliked.add(item_id="x")
    found = known(made)
    assert found.item_ids == ("a", "b", "c", "d")
    assert found.times_ms.tolist() == [1_000, 2_000, 3_000, 4_000]
    assert found.bought_ms.tolist() == [0, NEVER, 5, NEVER]
    assert found.liked_ms.tolist() == [NEVER, 0, 0, NEVER]
    assert found.repeats == 0.25
    assert found.bought_since(1) == ["c"]
    assert found.bought_since(0) == ["c", "z"]
    assert found.disliked == ("x",)


def test_the_newest_record_of_a_user_counts():
    """The job tells again what it has told after a failure, the last version maybe with more."""
    profiles = Profiles()
    put(profiles, version=2, items="a")
    put(profiles, version=1, items="b")
    assert profiles.get("u").item_ids == ("a",)
    put(profiles, version=2, items="c")
    assert profiles.get("u").item_ids == ("c",)
    put(profiles, version=1, incarnation=50, appended_ms=90, items="d")
    assert profiles.get("u").item_ids == ("c",)
    put(profiles, version=1, incarnation=200, appended_ms=200, items="e")
    assert profiles.get("u").item_ids == ("e",)


def test_a_tombstone_erases_what_was_asked_for_too():
    """A user who was deleted must be a stranger in the next answer."""
    profiles = Profiles()
    put(profiles)
    assert profiles.get("u").item_ids == ("a",)
    profiles.remove("u")
    assert profiles.get("u") is None
    assert profiles.record("u") is None


def test_what_redis_said_counts_until_the_log_says_more():
    """Asking at each request would make each answer wait."""
    profiles = Profiles()
    assert profiles.note("u", None) is STRANGER
    assert profiles.get("u") is STRANGER
    put(profiles)
    assert profiles.get("u").item_ids == ("a",)
    profiles.note("v", profile("v", items="b"))
    assert profiles.get("v").item_ids == ("b",)
    assert profiles.record("v") is None, "memory is for those of the log"


def test_those_that_asked_longest_ago_are_forgotten(monkeypatch):
    """A crowd of strangers must not fill the memory."""
    monkeypatch.setattr(module, "MOST_ASKED", 2)
    profiles = Profiles()
    for name in "ab":
        profiles.note(name, None)
    profiles.get("a")
    profiles.note("c", None)
    assert [profiles.get(name) for name in "abc"] == [STRANGER, None, STRANGER]


def test_that_redis_knows_nobody_is_believed_for_a_while():
    """It may have been empty, and be filled from the log: the user would stay a stranger."""
    at = [0.0]
    profiles = Profiles(clock=lambda: at[0])
    profiles.note("u", None)
    profiles.note("known", profile("known", items="a"))
    profiles.note_erased("gone")
    at[0] = STRANGER_S - 1
    assert profiles.get("u") is STRANGER
    at[0] = STRANGER_S + 1
    assert profiles.get("u") is None
    assert profiles.get("known").item_ids == ("a",)
    assert profiles.get("gone") is STRANGER
    assert [profiles.is_erased(name) for name in ("u", "known", "gone")] == [False, False, True]


def test_at_most_so_many_are_in_memory_and_so_many_bytes(monkeypatch):
    """What leaves is counted: of whom nothing is in memory, Redis may know more."""
    profiles = Profiles(most=3)
    for name in "abcd":
        put(profiles, name)
    put(profiles, "b", version=2)
    put(profiles, "e")
    assert [name for name in "abcde" if profiles.record(name)] == ["b", "d", "e"]
    assert (len(profiles), profiles.left) == (3, 2)
    monkeypatch.setattr(module, "RECORD_BYTES", 100)
    profiles = Profiles(most=30)
    for n in range(30):
        put(profiles, f"u{n}", items=("x" * 200,))
    assert sum(len(profiles.record(f"u{n}") or b"") for n in range(30)) <= 3_000
    assert profiles.left == 30 - len(profiles)


def test_one_large_record_drops_few_at_once(monkeypatch):
    """Dropping a thousand would keep all answers waiting; the rest is left for later slices."""
    monkeypatch.setattr(module, "RECORD_BYTES", 60)
    profiles = Profiles(most=40)
    for n in range(40):
        put(profiles, f"u{n}")
    before = len(profiles)
    put(profiles, "large", items=["x" * 50] * 40)
    assert len(profiles) == before + 1 - module.DROPPED_AT_ONCE
    assert profiles.over
    while profiles.over:
        profiles.drop_oldest()
    assert not profiles.over


@pytest.fixture
def limits():
    return Limits(max_items=16, max_sessions=16, pairs=16)


def test_a_snapshot_has_the_profiles(replica, limits, tmp_path):
    """Else each restart would read the profiles of all users again."""
    for name in "abc":
        replica.apply_profile(name.encode(), profile(name).SerializeToString())
    replica.profiles.left = 5
    snapshot.write(replica, tmp_path)
    back = snapshot.read(tmp_path, limits)
    assert [back.profiles.record(n) for n in "abc"] == [replica.profiles.record(n) for n in "abc"]
    assert back.profiles.left == 5
    smaller = snapshot.read(tmp_path, limits, max_profiles=1)
    assert (len(smaller.profiles), smaller.profiles.left) == (1, 7)
    assert smaller.profiles.record("c")


def test_records_of_the_topic_are_applied(replica):
    """A record under another user's key would give that one a stranger's past."""
    replica.apply_profile(b"u", profile().SerializeToString())
    assert replica.profiles.get("u").item_ids == ("a",)
    with pytest.raises(RecordError, match="user_id: is not the record's key"):
        replica.apply_profile(b"v", profile().SerializeToString())
    with pytest.raises(RecordError, match="record: is no Profile"):
        replica.apply_profile(b"u", b"\xff")
    replica.apply_profile(b"u", None)
    assert replica.profiles.get("u") is None


def test_a_deletion_erases_no_profile_that_has_begun_since(replica):
    """At a start the two topics are read in any order: who came back would be a stranger."""
    deleted = encode_user(User("u", deleted=True))
    made = profile(incarnation=2_000, appended_ms=2_000).SerializeToString()
    replica.apply_profile(b"u", made, 2_000)
    replica.apply_user(b"u", deleted, 1_999)
    assert replica.profiles.get("u").item_ids == ("a",)
    replica.apply_user(b"u", deleted, 2_000)
    assert replica.profiles.get("u") is None
    replica.apply_profile(b"u", made, 2_000)
    replica.apply_user(b"u", encode_user(User("u", consent=False)), 1_999)
    assert replica.profiles.get("u") is None


def test_a_profile_from_the_future_is_refused(replica):
    """None that comes would ever replace it."""
    late = profile(incarnation=10**13, appended_ms=10**13).SerializeToString()
    with pytest.raises(RecordError, match="ahead of the record's arrival"):
        replica.apply_profile(b"u", late, 10**12)


def test_whoever_is_not_in_memory_has_no_profile_if_all_are_there(replica):
    """Then no request for a stranger asks Redis."""
    assert not replica.knows_profiles
    replica.caught_up = True
    assert replica.knows_profiles
    replica.profiles.left = 1
    assert not replica.knows_profiles


def test_profiles_beyond_the_limit_are_settled_between_records(replica, monkeypatch):
    """The reader does so in slices, while requests go first."""
    monkeypatch.setattr(module, "RECORD_BYTES", 60)
    replica.profiles = Profiles(most=40)
    for n in range(40):
        put(replica.profiles, f"u{n}")
    put(replica.profiles, "large", items=["x" * 50] * 40)
    assert replica.unsettled
    while replica.unsettled:
        replica.settle()
    assert not replica.profiles.over
