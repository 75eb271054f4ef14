"""A user who comes back, through the real stack: from events to topic, Redis and answers."""

from dataclasses import replace

import orjson
import pytest
import redis

from nextclick import Filter
from nextclick.topics import PROFILES, USERS, redis_profile_key
from nextclick.v1.profile_pb2 import Profile
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, views


@pytest.fixture
def shop(stack, client, producer, reader):
    return Shop(stack, client, producer, reader(PROFILES))


class Shop:
    def __init__(self, stack, client, producer, profiles):
        self.client, self.producer, self.profiles = client, producer, profiles
        self.redis = redis.Redis(port=stack.ports.redis)

    def visit(self, session_id, items, user_id=""):
        self.client.put_events(views(session_id, items, user_id=user_id))

    def in_topic(self, user_id):
        """The newest record of a user: its items, None for a tombstone, "" if there is none."""
        found = ""
        for message in self.profiles.read():
            if message.key() == user_id.encode():
                found = message.value() and items(Profile.FromString(message.value()))
        return found

    def in_redis(self, user_id):
        raw = self.redis.hget(redis_profile_key(user_id), "record")
        return raw and items(Profile.FromString(raw))

    def in_server(self, user_id):
        told = self.client.get_profiles([user_id])
        return [item.item_id for item in told[0].items] if told else None

    def becomes(self, user_id, expected):
        """Wait until topic, Redis and server have the same."""
        for where in (self.in_topic, self.in_redis, self.in_server):
            what = f"{expected} {where.__name__}"
            eventually(lambda where=where: where(user_id), lambda found: found == expected, what)


def items(profile):
    return [item.item_id for item in profile.items]


def test_an_earlier_session_is_in_the_profile_everywhere(shop):
    """A visitor who came back was a stranger."""
    user, one, two = fresh("user"), fresh("s"), fresh("s")
    shop.visit(one, ["a", "b"], user)
    shop.visit(two, ["c"], user)
    shop.becomes(user, ["a", "b"])
    shop.visit(fresh("s"), ["d"], user)
    shop.becomes(user, ["a", "b", "c"])


def test_a_visitor_who_signs_in_brings_the_steps_before(shop):
    """What was looked at before is what the user came for."""
    user, session = fresh("user"), fresh("s")
    shop.visit(session, ["x"])
    shop.visit(session, ["y"], user)
    shop.visit(fresh("s"), ["z"], user)
    shop.becomes(user, ["x", "y"])


def test_what_was_disliked_is_hidden_in_the_next_session(shop):
    """It came back with the next visit."""
    user, one, two = fresh("user"), fresh("s"), fresh("s")
    for _ in range(3):  # sessions that lead from one item to the next
        shop.visit(fresh("s"), ["l1", "l2", "l3"])
    shop.visit(one, ["l1"], user)
    [dislike] = views(one, ["l2"], user_id=user)
    shop.client.put_events([replace(dislike, type="dislike")])
    shop.visit(two, ["l1"], user)

    def answered(**fields):
        answer = shop.client.recommend(two, **fields)
        return "l2" in answer.item_ids

    eventually(lambda: shop.in_redis(user), lambda found: found is not None, "the profile")
    eventually(answered, lambda there: not there, "an answer without it")
    assert "l2" in shop.client.recommend(fresh("s"), session_items=["l1"]).item_ids


def test_what_was_bought_lately_can_be_left_out(shop):
    """In any session, not in this one alone."""
    user, one, two = fresh("user"), fresh("s"), fresh("s")
    [view] = views(one, ["p1"], user_id=user)
    shop.client.put_events([replace(view, type="purchase")])
    shop.visit(fresh("s"), ["p0", "p1"])
    lately = Filter(purchased_within_days=30)
    asked = {"user_id": user, "session_items": ["p0"]}
    eventually(
        lambda: shop.client.recommend(two, **asked, filter=lately).item_ids,
        lambda found: "p1" not in found,
        "an answer without it",
    )
    eventually(
        lambda: shop.client.recommend(two, **asked).item_ids,
        lambda found: "p1" in found,
        "an answer with it",
    )


def test_nothing_of_an_erased_session_or_user_stays(shop):
    """Erased means everywhere, also in what comes after."""
    user, one, two = fresh("user"), fresh("s"), fresh("s")
    shop.visit(one, ["a"], user)
    shop.visit(two, ["b"], user)
    shop.visit(fresh("s"), ["c"], user)
    shop.becomes(user, ["a", "b"])
    shop.producer.produce("events", key=one.encode(), value=None)
    shop.producer.flush(60)
    shop.becomes(user, ["b"])
    record = orjson.dumps({"v": 1, "user_id": user, "state": "deleted"})
    shop.producer.produce(USERS, key=user.encode(), value=record)
    shop.producer.flush(60)
    shop.becomes(user, None)
    shop.visit(two, ["d"], user)
    shop.visit(fresh("s"), ["e"], user)
    shop.becomes(user, ["d"])
