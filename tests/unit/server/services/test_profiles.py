"""What a user did in earlier sessions, in answers and for those who ask."""

import time

import pytest

from nextclick import User, encode_user
from nextclick.codec import Item, encode_item
from nextclick.errors import FieldFault
from nextclick.limits import DAY_MS, MAX_PROFILE_SHARES, MAX_PROFILES_ASKED
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import user_service_pb2
from nextclick.v1.profile_pb2 import Profile, ProfileItem
from online_models.sources.past import BOUGHT
from records.past import STRANGER
from records.session_life import Applied
from server.errors import RequestError
from server.replica.examples import ExampleEmitter
from server.replica.redis_view import Stored
from server.services.profiles import UserProfiles, user_profile
from server.services.visitor import UnreadVisitorError, past_of, resolve_visitor
from tests.unit.server.services.shop import ids, record

NOW_MS = time.time_ns() // 1_000_000


def profile(user_id="u", items=(), **fields):
    held = [ProfileItem(item_id=i, steps=1, last_timestamp_ms=1_000, weight=1) for i in items]
    return Profile(user_id=user_id, version=1, items=held, **fields)


def put(shop, made):
    shop.replica.apply_profile(made.user_id.encode(), made.SerializeToString())


def visitor(shop, session_id="", user_id="", stored=None):
    return resolve_visitor(shop.replica, session_id, user_id, stored)


def test_a_user_is_known_by_session_or_request(shop):
    """A shop that sends the user with each request, and one that did so once, are the same."""
    put(shop, profile(items=("i1", "i2")))
    shop.apply(record("mine", ["i3"], user_id="u"))
    shop.apply(record("theirs", ["i3"]))
    for found in (
        visitor(shop, "mine"),
        visitor(shop, "mine", "u"),
        visitor(shop, "theirs", "u"),
        visitor(shop, "new", "u"),
        visitor(shop, user_id="u"),
    ):
        assert found.profile.item_ids == ("i1", "i2")
    assert visitor(shop, "theirs").profile is STRANGER
    assert visitor(shop, "mine", "other").profile is STRANGER
    assert shop.redis.asked == 0


def test_the_past_is_in_rows_of_the_models(shop):
    """The models know rows alone; an item that they do not know is none."""
    made = profile(items=("i1", "unknown", "i2"), steps=4, repeated_steps=1)
    made.items[2].last_timestamp_ms = 9_000
    made.purchased.add(item_id="i2", timestamp_ms=1)
    put(shop, made)
    rows, times_s, flags, repeats = past_of(shop.replica.engine, visitor(shop, "new", "u"))
    assert rows.tolist() == shop.replica.engine.rows_of(["i1", "unknown", "i2"])
    assert times_s.tolist() == [1, 1, 9]
    assert flags.tolist() == [0, 0, BOUGHT]
    assert repeats == 0.25
    assert past_of(shop.replica.engine, visitor(shop, "new")) is None


def began(session_id, at_ms, user_id="u"):
    """A session of two clicks that began then."""
    made = record(session_id, ["i3", "i4"], user_id=user_id)
    made.first_timestamp_ms = at_ms
    return made


def test_the_running_session_is_no_past(shop):
    """A tab that was idle for an hour goes on: its items are not those of an earlier visit."""
    made = profile(items=("i1", "i3"))
    made.items[1].last_timestamp_ms = 5_000
    made.merged.add(session_id="mine")
    put(shop, made)
    shop.apply(began("mine", 4_000))
    shop.apply(began("other", 6_000))
    engine = shop.replica.engine
    assert past_of(engine, visitor(shop, "mine")).rows.tolist() == engine.rows_of(["i1"])
    assert past_of(engine, visitor(shop, "other")).rows.tolist() == engine.rows_of(["i1", "i3"])


def test_answers_and_examples_have_the_same_past(shop):
    """The ranker would learn of a past that ends with the session's begin, and meet another."""
    made = profile(items=("i1", "i2", "i3"), steps=9, repeated_steps=3, last_timestamp_ms=6_000)
    for at, item in enumerate(made.items, 1):
        item.last_timestamp_ms = 2_000 * at
    made.purchased.add(item_id="i1", timestamp_ms=5_500)
    put(shop, made)
    emitter = ExampleEmitter.__new__(ExampleEmitter)
    emitter._replica = shop.replica
    found = []
    for at_ms in (1_999, 4_000, 5_501, 7_000):
        made = began(f"from {at_ms}", at_ms)
        shop.apply(made)
        of_example = emitter._past_of(made, Applied.after(made))
        of_answer = past_of(shop.replica.engine, visitor(shop, made.session_id))
        assert str(of_answer) == str(of_example)
        found.append(of_answer)
    assert [past and len(past.rows) for past in found] == [None, 1, 2, 3]
    assert [past.repeats for past in found[1:]] == [0, 0, pytest.approx(1 / 3)]
    assert [past.flags[0] for past in found[1:]] == [0, BOUGHT, BOUGHT]


def test_no_example_has_a_past_that_its_answer_could_not_know(shop):
    """An emitter that is behind has the profile of after the session: what the visitor clicked
    again is among its new items then, and the ranker would learn that nobody returns to anything.
    """
    emitter = ExampleEmitter.__new__(ExampleEmitter)
    emitter._replica = shop.replica
    made = began("s", 4_000)
    shop.apply(made)
    for later_ms, there in ((0, True), (1, False)):
        arrived_ms = made.appended_ms + later_ms
        put(shop, profile(items=("i1",), last_timestamp_ms=2_000, appended_ms=arrived_ms))
        assert (emitter._past_of(made, Applied.after(made)) is not None) == there
    put(shop, profile(items=("i1",), last_timestamp_ms=2_000))
    made.several_users = True
    assert emitter._past_of(made, Applied.after(made)) is None


def test_what_redis_knows_of_a_session_says_when_it_began(shop):
    """A replica that has just started knows the session by its record alone."""
    put(shop, profile(items=("i1", "i3")))
    shop.replica.caught_up = False
    stored = Stored("theirs", began("theirs", 500))
    assert past_of(shop.replica.engine, visitor(shop, "theirs", "u", stored)) is None


def test_what_was_disliked_in_any_session_is_in_no_answer(shop):
    """Who has hidden an item yesterday must not see it today."""
    plain = ids(shop.recommend(session_id="new", session_items=["i4", "i5"]))
    made = profile()
    made.disliked.add(item_id=plain[0], timestamp_ms=1)
    put(shop, made)
    fields = {"session_id": "new", "session_items": ["i4", "i5"]}
    assert plain[0] not in ids(shop.recommend(**fields, user_id="u"))
    assert plain[0] in ids(shop.recommend(**fields, user_id="someone else"))


def test_what_was_bought_lately_can_be_left_out(shop):
    """Nobody buys the next washing machine after two weeks, but coffee after two months."""
    plain = ids(shop.recommend(session_id="new", session_items=["i4", "i5"]))
    made = profile()
    made.purchased.add(item_id=plain[0], timestamp_ms=NOW_MS - 40 * DAY_MS)
    made.purchased.add(item_id=plain[1], timestamp_ms=NOW_MS - 10 * DAY_MS)
    put(shop, made)
    fields = {"session_id": "new", "user_id": "u", "session_items": ["i4", "i5"]}
    for days, gone in ((0, 0), (5, 0), (30, 1), (60, 2)):
        answer = ids(shop.recommend(**fields, filter={"purchased_within_days": days}))
        assert len({plain[0], plain[1]} - set(answer)) == gone
    with pytest.raises(RequestError) as caught:
        shop.recommend(**fields, filter={"purchased_within_days": 366})
    wrong = FieldFault("filter.purchased_within_days", "is 366; send 0 to 365")
    assert caught.value.faults == [wrong]


def test_what_the_session_has_bought_counts_without_its_profile(shop):
    """The profile may be a moment behind."""
    shop.apply(record("mine", ["i4", "i6"], purchased=["i6"]))
    before = ids(shop.recommend(session_id="mine", page_size=50))
    assert "i6" in before
    lately = {"purchased_within_days": 1}
    answer = ids(shop.recommend(session_id="mine", page_size=50, filter=lately))
    assert "i6" not in answer


def test_redis_is_asked_once_for_a_profile_that_is_not_in_memory(shop):
    """Then memory has it, until the log has a newer one."""
    shop.replica.profiles.left = 1
    disliked = ids(shop.recommend(session_id="new", session_items=["i4", "i5"]))[0]
    made = profile()
    made.disliked.add(item_id=disliked)
    shop.redis.profiles["u"] = made
    fields = {"session_id": "new", "session_items": ["i4", "i5"]}
    assert shop.redis.asked == 0
    for _ in range(3):
        assert disliked not in ids(shop.recommend(**fields, user_id="u"))
        assert disliked in ids(shop.recommend(**fields, user_id="stranger"))
    assert shop.redis.asked == 2
    assert not any(shop.redis.locked)


def test_no_answer_waits_for_redis_if_the_profile_is_in_memory(shop):
    """Redis takes longer than the answer."""
    shop.replica.profiles.left = 1
    put(shop, profile(items=("i1",)))
    shop.recommend(session_id="new", user_id="u")
    shop.recommend(session_id="anonymous")
    assert shop.redis.asked == 0


def test_without_redis_a_user_is_a_stranger_for_a_while(shop):
    """An answer without the past is better than none; nothing of it is remembered."""
    shop.replica.profiles.left = 1
    shop.redis.profiles["u"] = profile(items=("i1",))
    shop.redis.up = False
    answer = shop.recommend(session_id="new", user_id="u")
    assert pb.DEGRADED_REASON_REDIS_UNAVAILABLE in answer.degraded
    with pytest.raises(UnreadVisitorError) as caught:
        visitor(shop, "new", "u")
    assert caught.value.question.profile_of == "u"


def test_session_and_profile_are_asked_for_together(shop):
    """Two reads one after another would be beyond the time that an answer has."""
    shop.replica.whole_log = False
    shop.replica.profiles.left = 1
    with pytest.raises(UnreadVisitorError) as caught:
        visitor(shop, "old", "u")
    assert caught.value.question == ("old", "", "u")
    with pytest.raises(UnreadVisitorError) as caught:
        visitor(shop, user_id="u")
    assert caught.value.question == ("", "u", "u")


def asked(shop, *user_ids):
    raw = user_service_pb2.GetProfilesRequest(user_ids=user_ids).SerializeToString()
    told = UserProfiles(shop.replica, shop.redis).get_profiles(raw)
    return user_service_pb2.GetProfilesResponse.FromString(told).profiles


def test_profiles_are_told_in_the_order_of_the_request(shop):
    """From memory, or from Redis; of whom there is none, nothing is told."""
    put(shop, profile("a", items=("i1",)))
    put(shop, profile("b", items=("i2",)))
    assert [p.profile.user_id for p in asked(shop, "b", "nobody", "a")] == ["b", "a"]
    assert shop.redis.asked == 0
    shop.replica.profiles.left = 1
    shop.redis.profiles["c"] = profile("c", items=("i3",))
    assert [p.profile.user_id for p in asked(shop, "c", "nobody", "a")] == ["c", "a"]
    assert shop.redis.asked == 1
    shop.redis.up = False
    with pytest.raises(Exception, match="Redis does not answer"):
        asked(shop, "c")


def test_a_user_who_refuses_has_no_profile_wherever_it_is(shop):
    """It may be on its way in the log, or in Redis, when the refusal is here."""
    put(shop, profile(items=("i1",)))
    shop.replica.apply_user(b"u", encode_user(User("u", consent=False)))
    assert visitor(shop, "new", "u").profile is STRANGER
    put(shop, profile(items=("i1",)))
    assert visitor(shop, "new", "u").profile is STRANGER
    assert not asked(shop, "u")
    shop.replica.profiles.left = 1
    shop.redis.profiles["u"] = profile(items=("i1",))
    shop.replica.profiles.remove("u")
    assert visitor(shop, "new", "u").profile is STRANGER
    assert not asked(shop, "u")
    assert shop.redis.asked == 0
    shop.replica.apply_user(b"u", encode_user(User("u")))
    put(shop, profile(items=("i2",)))
    assert visitor(shop, "new", "u").profile.item_ids == ("i2",)


@pytest.mark.parametrize("how", ["deletion", "tombstone"])
def test_an_erased_user_does_not_come_back_from_redis(shop, how):
    """The store may be a moment behind; what an answer had noted then, it went on to use."""
    shop.replica.profiles.left = 1
    put(shop, profile(items=("i1",)))
    shop.redis.profiles["u"] = profile(items=("i1",))
    if how == "deletion":
        shop.replica.apply_user(b"u", encode_user(User("u", deleted=True)), 1_000)
    else:
        shop.replica.apply_profile(b"u", None)
    assert visitor(shop, "new", "u").profile is STRANGER
    assert not asked(shop, "u")
    assert shop.redis.asked == 0
    put(shop, profile(items=("i2",)))
    assert visitor(shop, "new", "u").profile.item_ids == ("i2",)


def test_a_visitor_who_signs_in_has_the_profile_at_once(shop):
    """The first page after the sign-in is the one that must know the user."""
    put(shop, profile(items=("i1",)))
    shop.apply(record("s", ["i3"]))
    assert visitor(shop, "s").profile is STRANGER
    assert visitor(shop, "s", "u").profile.item_ids == ("i1",)
    shop.apply(record("s", ["i3", "i4"], user_id="u"))
    signed_in = visitor(shop, "s")
    assert signed_in.profile.item_ids == ("i1",)
    assert [shop.replica.engine.ids[row] for row in signed_in.rows] == ["i3", "i4"]


def test_too_many_users_or_too_long_ones_are_refused(shop):
    """A call for a million profiles would keep a thread for minutes."""
    with pytest.raises(RequestError):
        asked(shop, *["u"] * (MAX_PROFILES_ASKED + 1))
    with pytest.raises(RequestError):
        asked(shop)
    with pytest.raises(RequestError) as caught:
        asked(shop, "u", "x" * 257)
    assert [fault.field for fault in caught.value.faults] == ["user_ids[1]"]


def test_shares_are_those_of_the_catalogue_now(shop):
    """An item that has moved to another category since is counted there."""
    put(shop, profile(items=("i1", "i2", "gone")))
    item = Item("i1", categories=("shoes", "sale"), attributes={"brand": "acme"})
    for one in (item, Item("i2", categories=("shoes",))):
        shop.replica.apply_item(one.item_id.encode(), encode_item(one))
    [told] = asked(shop, "u")
    shares = [(share.name, round(share.share, 3)) for share in told.categories]
    assert shares == [("shoes", 0.667), ("sale", 0.333)]
    assert [share.name for share in told.attributes] == ["brand=acme"]
    shop.replica.apply_item(b"i2", encode_item(Item("i2", categories=("hats",))))
    [told] = asked(shop, "u")
    assert [share.name for share in told.categories] == ["hats", "sale", "shoes"]


def test_old_items_weigh_less_and_shares_are_few():
    """What was of interest half a year ago says little about today."""
    made = profile(items=("new", "old"))
    made.items[0].last_timestamp_ms = 60 * DAY_MS
    made.items[1].last_timestamp_ms = 30 * DAY_MS
    made.last_timestamp_ms = 60 * DAY_MS
    told = user_profile(made, lambda item_id: Item(item_id, categories=(item_id,)))
    assert [round(share.share, 3) for share in told.categories] == [0.667, 0.333]
    names = tuple(f"c{n}" for n in range(16))
    made = profile(items=("a", "b"))
    told = user_profile(made, lambda item_id: Item(item_id, categories=(*names[:15], item_id)))
    assert len(told.categories) == MAX_PROFILE_SHARES
    assert not user_profile(profile(), lambda _: None).categories
