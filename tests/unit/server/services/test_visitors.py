"""Who a visitor is, and where: session and user of a request, and what is said of both."""

import pytest

from nextclick import Context, User, encode_user
from nextclick.context import NOWHERE
from nextclick.convert import context_to_proto
from nextclick.limits import MAX_CONTEXT_BYTES
from nextclick.v1 import recommendation_service_pb2 as pb
from server.errors import RequestError
from server.replica.redis_view import Question
from server.services.facts import NOBODY, facts_of
from server.services.visitor import resolve_visitor
from tests.unit.server.services.shop import ids, record

GERMANY = Context(country="DE")


def put(shop, user_id, **fields):
    shop.replica.apply_user(user_id.encode(), encode_user(User(user_id, **fields)))


def session(name, items, context=NOWHERE, **fields):
    out = record(name, items, **fields)
    if context != NOWHERE:
        out.context.CopyFrom(context_to_proto(context))
    return out


def facts(shop, session_id="", user_id="", stored=None):
    return facts_of(shop.replica, resolve_visitor(shop.replica, session_id, user_id, stored))


def test_the_session_is_the_session_and_the_user_the_user(shop):
    """A visitor who signs in counts as that user at once, and keeps the session begun without."""
    shop.apply(record("before", ["i1"], user_id="u"))
    shop.apply(record("now", ["i4", "i5"]))
    put(shop, "u", segments=("gold",))
    visitor = resolve_visitor(shop.replica, "now", "u")
    assert (visitor.session_id, visitor.user_id, visitor.applied.version) == ("now", "u", 2)
    assert facts_of(shop.replica, visitor).segments == ("gold",)
    new = resolve_visitor(shop.replica, "new", "u")
    assert (new.session_id, new.user_id, len(new.rows)) == ("new", "u", 0)


def test_the_user_of_a_session_is_known_from_its_events(shop):
    """A backend that asks by session alone need not look the user up."""
    shop.apply(record("s", ["i4"], user_id="u"))
    put(shop, "u", attributes={"plan": "free"})
    assert facts(shop, "s").attributes == {"plan": "free"}
    assert facts(shop, "s", "other").attributes == {}


def test_a_user_alone_is_answered_for_the_current_session(shop):
    """As before there were users."""
    shop.apply(record("s", ["i4", "i5"], user_id="u"))
    visitor = resolve_visitor(shop.replica, "", "u")
    assert (visitor.session_id, visitor.user_id) == ("s", "u")


def test_a_visitor_of_whom_nothing_is_said_has_not_refused(shop):
    """Nor are there attributes; a user that was put may have refused."""
    assert facts(shop, "new") == facts(shop, user_id="unknown") == NOBODY == ({}, (), NOWHERE)
    put(shop, "u", consent=False)
    put(shop, "v")
    assert [shop.replica.refuses_profile(user) for user in ("u", "v", "unknown")] == [
        True, False, False,
    ]  # fmt: skip


def test_the_context_is_that_of_the_session(shop):
    """What events have said counts for the requests after them, also from Redis."""
    shop.apply(session("s", ["i4"], GERMANY, user_id="u"))
    assert facts(shop, "s").context == facts(shop, user_id="u").context == GERMANY
    shop.replica.whole_log = False
    shop.redis.sessions["old"] = session("old", ["i4"], GERMANY, user_id="v")
    [stored] = shop.redis.read([Question("old")])
    visitor = resolve_visitor(shop.replica, "old", "", stored)
    assert (visitor.user_id, visitor.context) == ("v", GERMANY)


def test_the_requests_own_words_come_first(shop):
    """A visitor who has just crossed a border is where the request says."""
    shop.apply(session("s", [], Context(country="DE", device="mobile")))
    request = pb.RecommendRequest(session_id="s", context={"country": "FR"})
    visitor = shop.service._visitor(request, None)
    assert visitor.context == Context(country="FR", device="mobile")


@pytest.mark.parametrize("call", ["recommend", "rank"])
def test_a_context_that_is_too_long_is_named(shop, call):
    """Texts of any length would be copied for each answer."""
    kind = pb.RankRequest if call == "rank" else pb.RecommendRequest
    fields = {"item_ids": ["i1"]} if call == "rank" else {}
    request = kind(session_id="s", context={"device": "x" * (MAX_CONTEXT_BYTES + 1)}, **fields)
    with pytest.raises(RequestError, match=r"context\.device: has 65 bytes"):
        getattr(shop.service, call)(request.SerializeToString())


def test_a_first_page_is_that_of_its_country(shop):
    """Clicks of sessions in a country, asked for by request or by session: the same page."""
    for n in range(60):
        country = Context(country="FR" if n % 3 else "DE")
        shop.apply(session(f"c{n}", [f"{country.country}{n % 4}"], country))
    shop.apply(session("mine", [], Context(country="FR")))
    german = shop.recommend(session_id="x", context={"country": "DE"}, page_size=4)
    french = shop.recommend(session_id="mine", page_size=4)
    assert {name[:2] for name in ids(german)} == {"DE"}
    assert {name[:2] for name in ids(french)} == {"FR"}
    assert german.source == french.source == pb.ANSWER_SOURCE_POPULAR
    wide = shop.recommend(session_id="mine", page_size=40)
    assert ids(wide)[:4] == ids(french)
    assert (
        len(ids(wide)) == len(set(ids(wide))) == len(ids(shop.recommend(user_id="n", page_size=40)))
    )
