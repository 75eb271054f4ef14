"""Visitors who come back after their state has expired, through the real stack."""

from functools import partial

import pytest
import redis

from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack
from nextclick import Client, Event
from nextclick.topics import redis_profile_key, redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from tests.integration.conftest import Reader, eventually
from tests.integration.test_path import now_ms

LIFE_S = 5
VISITS = (3, 2, 1)
"""Clicks of each visit; falling, so that a visit that is ignored shows."""

VISITORS, VISITORS_A_CALL = 10_000, 300


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory):
    """A stack of its own whose jobs forget a session, and a profile, after some seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTCLICK_STATE_TTL_S", str(LIFE_S))
        patch.setenv("NEXTCLICK_PROFILE_TTL_S", str(LIFE_S))
        stack = Stack(Home(tmp_path_factory.mktemp("forgetful")), Ports.free(), bound=True)
        stack.start()
        yield stack
        stack.stop()


@pytest.mark.long
def test_every_click_of_a_returning_visitor_counts(forgetful):
    """Their next clicks vanished until they were as many as those of the visit before."""
    names = [f"v{n}" for n in range(VISITORS)]
    store = redis.Redis(port=forgetful.ports.redis)
    sessions = Reader(forgetful.kafka, "sessions")
    with Client(forgetful.target, timeout_s=60) as client:
        learned = client.recommend("nobody").model_version
        for visit, clicks in enumerate(VISITS):
            for at in range(0, VISITORS, VISITORS_A_CALL):
                events = [
                    click
                    for name in names[at : at + VISITORS_A_CALL]
                    for click in visit_of(name, visit, clicks)
                ]
                assert client.put_events(events).accepted == len(events)
            left = now_ms()
            learned += clicks * VISITORS
            eventually(
                lambda expected=learned: client.recommend("nobody").model_version - expected,
                lambda off: off == 0,
                "every click learned once",
            )
            check(client, store, names, visit, clicks)
            eventually(
                lambda since=left: now_ms() - since,
                lambda gone_ms: gone_ms > LIFE_S * 1_000 + 500,
                "the end of the life",
            )
    lives = eventually(
        lambda: items_of_lives(sessions.read()),
        lambda known: sum(map(len, known.values())) >= VISITORS * sum(VISITS),
        "every click in a record",
    )
    sessions.close()
    assert sum(map(len, lives.values())) == VISITORS * sum(VISITS)
    assert len(lives) >= VISITORS * len(VISITS)
    assert all(len(visits_of(items)) == 1 for items in lives.values()), "a life is of one visit"


def test_a_profile_expires_after_its_users_last_event(forgetful):
    """Nobody has to come for that: a timer of the job ends it, in topic, Redis and memory."""
    user, profiles = "expires", Reader(forgetful.kafka, "profiles")
    key = redis_profile_key(user)
    store = redis.Redis(port=forgetful.ports.redis)
    bought = Event("purchase", "p", now_ms(), session_id="expires", user_id=user)
    with Client(forgetful.target, timeout_s=60) as client:
        client.put_events([bought])

        def told():
            return [m.value() for m in profiles.read() if m.key() == user.encode()]

        first, last = eventually(told, lambda found: len(found) == 2, "a profile, and its end")
        profiles.close()
        assert first
        assert last is None
        eventually(lambda: store.exists(key), lambda there: not there, "its end in Redis")
        eventually(lambda: client.get_profiles([user]), lambda found: not found, "its end")


def items_of_lives(messages):
    """The items that each life has clicked."""
    lives = {}
    for message in messages:
        record = SessionRecord.FromString(message.value())
        lives[record.session_id, record.incarnation] = [step.item_id for step in record.steps]
    return lives


def visits_of(items):
    """The visits in which items were clicked."""
    return {item_id.split(".")[0] for item_id in items}


def by_user(name):
    """Every second visitor is known by the user only."""
    return int(name.split("-")[1]) % 2 == 1


def visit_of(name, visit, clicks):
    who = {"user_id": name} if by_user(name) else {"session_id": name}
    return [Event("view", f"i{visit}.{n}", now_ms(), **who) for n in range(clicks)]


def check(client, store, names, visit, clicks):
    """Redis and the answers have this visit, and nothing of those before.

    On a busy machine a life may end between two clicks of one visit: then they have its end.
    """
    visited = [f"i{visit}.{n}" for n in range(clicks)]

    def stored(name):
        session_id = store.hget(redis_user_key(name), "record") if by_user(name) else name.encode()
        raw = store.hget(redis_session_key((session_id or b"").decode()), "record")
        return [step.item_id for step in SessionRecord.FromString(raw or b"").steps]

    for name in names:
        items = eventually(
            partial(stored, name), lambda held: held[-1:] == visited[-1:], f"{name} in Redis"
        )
        assert items == visited[-len(items) :]
        who = {"user_id": name} if by_user(name) else {"session_id": name}
        answer = client.recommend(**who)
        assert (answer.session_version, answer.source) == (len(items), "session")
