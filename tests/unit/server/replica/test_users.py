"""The users that a replica has in memory, and which of them leave."""

import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from nextclick import User, encode_user
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.replica import snapshot
from server.replica.replica import Replica
from server.replica.users import (
    DROPPED_AT_ONCE,
    ENTRY_BYTES,
    RECORD_BYTES,
    SPARED_AT_ONCE,
    UserStore,
)

LIMITS = Limits(max_items=16, max_sessions=16, pairs=16)
SMALL = User("b", {"plan": "gold"}, ("new",), consent=False)


def replica(**more):
    return Replica(Engine(LIMITS, sample=0, remote=True), **more)


def apply(it, user, key=b""):
    it.apply_user(key, encode_user(user))


def names(store):
    return sorted(user.user_id for user in map(store.get, ALL) if user)


ALL = [f"u{n}" for n in range(100)]


def test_what_was_put_is_known_until_it_is_put_again_or_deleted():
    """A replica must say of a user what the newest record says."""
    it = replica()
    apply(it, SMALL)
    assert it.users.get("b") == it.users.asked("b") == SMALL
    apply(it, User("b", {"plan": "free"}))
    assert it.users.get("b") == User("b", {"plan": "free"})
    apply(it, User("b", deleted=True))
    assert it.users.get("b") is None
    apply(it, SMALL)
    it.apply_user(b"b", None)
    assert it.users.get("b") is None
    assert len(it.users) == 0


def test_users_that_nobody_asks_for_leave_first():
    """A shop with more users than memory must know those that are there today."""
    store = UserStore(4)
    before = REGISTRY.get_sample_value("nextclick_users_left_total")
    for name in ALL[:4]:
        store.put(User(name))
    assert store.asked("u0")
    assert store.get("u1")  # for GetUsers: nobody was answered
    store.put(User("u1"))
    store.put(User("u5"))
    assert names(store) == ["u0", "u1", "u3", "u5"]
    store.put(User("u6"))
    store.put(User("u7"))
    assert names(store) == ["u0", "u5", "u6", "u7"]
    store.put(User("u8"))
    store.put(User("u9"))
    assert names(store) == ["u6", "u7", "u8", "u9"], "a user is spared once for having been asked"
    assert REGISTRY.get_sample_value("nextclick_users_left_total") == before + 5


def test_large_records_take_no_more_than_their_share():
    """The formula of memory holds whatever a shop writes of its users."""
    it = replica(max_users=60)
    for name in ALL:
        apply(it, User(name, {f"k{n}": "v" * 250 for n in range(32)}))
        while it.unsettled:
            it.settle()
    assert len(it.users) == 60 * RECORD_BYTES // len(next(iter(it.users.dump())) + b"u0")
    assert it.users.get(ALL[-1])


def test_one_record_drops_some_and_leaves_the_rest_for_slices_of_their_own():
    """A record of the size of hundreds would hold the lock until all of them are gone."""
    store = UserStore(100)
    for name in ALL:
        store.put(User(name, {"k": "v" * 250, "l": "v" * 250}))
    for number in range(SPARED_AT_ONCE):
        store.asked(ALL[number])
    store.put(User("large", {f"k{n}": "v" * 256 for n in range(32)}))
    assert len(store) == 101 - DROPPED_AT_ONCE
    assert store.over
    while store.over:
        store.drop_oldest()
    assert store.get("large")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "ask", "drop"]), st.sampled_from(ALL[:9]))))
def test_the_newest_users_are_always_there(steps):
    """Whatever is asked for, a user that has just been put is known."""
    store = UserStore(4)
    for step, name in steps:
        if step == "put":
            store.put(User(name))
            assert store.get(name)
        elif step == "ask":
            store.asked(name)
        else:
            store.remove(name)
            assert store.get(name) is None
        assert len(store) == len(names(store)) <= 4
        assert not store.over


def test_a_snapshot_keeps_the_users(tmp_path):
    """After a restart, the topic is not read again."""
    it = replica()
    for name in ALL:
        apply(it, User(name, {"n": name}, consent=name != "u7"))
    snapshot.write(it, tmp_path)
    again = snapshot.read(tmp_path, LIMITS)
    assert [again.users.get(name) for name in ALL] == [it.users.get(name) for name in ALL]
    fewer = snapshot.read(tmp_path, LIMITS, max_users=10)
    assert names(fewer.users) == sorted(ALL[-10:])


def test_a_user_takes_what_the_formula_says():
    """Containers are sized by it."""
    pick, store = random.Random(0), UserStore(10_000)
    words = [f"{pick.randrange(1 << 60):x}" * 8 for _ in range(10_000)]
    records = [encode_user(User(f"user {n:08}", {"k": word})) for n, word in enumerate(words)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    store.load(bytes(record) for record in map(bytearray, records))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    each = (after - before) / len(store) - sum(map(len, store.dump())) / len(store)
    assert 0.5 * ENTRY_BYTES < each < 1.1 * ENTRY_BYTES
