"""Answers of the service: bytes in, bytes out, with the real models and no network."""

import struct
import time

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from nextclick import Item, encode_item
from nextclick.v1 import recommendation_service_pb2 as pb
from online_models.content.terms import Content, counted
from server.errors import RequestError
from server.services.replies import RECOMMEND_ITEMS, head
from server.services.visitor import n_stored
from tests.unit.server.services.shop import ids, record

PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" ")


def test_an_answer_carries_all_that_a_caller_needs(shop):
    """Versions tell what an answer knew; the id comes back on events."""
    shop.apply(record("me", ["i4", "i5"]))
    answer = shop.recommend(session_id="me", page_size=5)
    assert len(answer.items) == 5
    assert "i6" in ids(answer)
    assert answer.session_version == 2
    assert answer.model_version == shop.replica.engine.clicks
    assert answer.source == pb.ANSWER_SOURCE_SESSION
    assert not answer.degraded
    again = shop.recommend(session_id="me", page_size=5)
    assert again.recommendation_id != answer.recommendation_id


def test_the_default_page_is_twenty(shop):
    """A caller that says nothing of a size gets the documented one."""
    assert len(shop.recommend(session_id="me").items) == 20


@pytest.mark.parametrize("fields", [{"session_id": "new"}, {"user_id": "new"}])
def test_an_unknown_visitor_gets_popular_items_and_it_says_so(shop, fields):
    """A page without recommendations is a lost chance; a caller may want to know."""
    answer = shop.recommend(**fields)
    assert answer.source == pb.ANSWER_SOURCE_POPULAR
    assert len(answer.items) == 20
    assert answer.session_version == 0


def test_the_requests_items_count_before_the_stream_has_them(shop):
    """The answer must reflect the click that caused it."""
    unknown = shop.recommend(session_id="new", session_items=["i4", "i5"], page_size=5)
    assert unknown.source == pb.ANSWER_SOURCE_SESSION
    assert "i6" in ids(unknown)
    shop.apply(record("me", ["i4"]))
    both = shop.recommend(session_id="me", session_items=["i4", "i5"], page_size=5)
    assert ids(both) == ids(unknown)
    assert both.session_version == 1


@given(st.lists(st.integers(1, 3), max_size=8), st.lists(st.integers(1, 3), max_size=8))
def test_an_overlap_is_not_repeated(stored, tail):
    """A shorter overlap would count a click twice, a longer one would drop one."""
    overlaps = [n for n in range(1, min(len(stored), len(tail)) + 1) if stored[-n:] == tail[:n]]
    assert n_stored(stored, tail) == max(overlaps, default=0)


def test_filters_of_the_session_leave_out_what_they_say(shop):
    """Seen, bought and disliked items are the visitor's own: each has its switch."""
    mine = record("me", ["i4", "i5"], purchased=("i5",))
    mine.hidden_item_ids.append("i6")
    shop.apply(mine)
    everything = ids(shop.recommend(session_id="me", page_size=50))
    assert {"i4", "i5"} <= set(everything)
    assert "i6" not in everything
    unseen = ids(shop.recommend(session_id="me", page_size=50, filter={"exclude_seen": True}))
    assert not {"i4", "i5", "i6"} & set(unseen)
    unbought = ids(
        shop.recommend(session_id="me", page_size=50, filter={"exclude_purchased": True})
    )
    assert "i4" in unbought
    assert "i5" not in unbought
    chosen = ids(
        shop.recommend(session_id="me", page_size=50, filter={"excluded_item_ids": ["i4", "zz"]})
    )
    assert "i4" not in chosen


def test_a_preset_without_repeats_leaves_out_what_was_seen(shop):
    """A film that was watched, an article that was read: a page of them is a lost one."""
    shop.apply(record("me", ["i4", "i5"]))
    assert {"i4", "i5"} <= set(ids(shop.recommend(session_id="me", page_size=50)))
    shop.service._repeats = False
    for fields in ({}, {"filter": {}}, {"filter": {"include_unavailable": True}}):
        page = ids(shop.recommend(session_id="me", page_size=50, **fields))
        assert page
        assert not {"i4", "i5"} & set(page)
    again = shop.recommend(session_id="me", session_items=["i5", "i6"], page_size=50)
    assert not {"i4", "i5", "i6"} & set(ids(again))


def test_the_catalogue_decides_on_availability_and_deletion(shop):
    """Sold out is out unless asked for; deleted is out for good."""
    shop.replica.apply_item(b"", encode_item(Item("i6", available=False)))
    shop.replica.apply_item(b"", encode_item(Item("i7", deleted=True)))
    plain = ids(shop.recommend(session_id="x", session_items=["i5"], page_size=50))
    assert not {"i6", "i7"} & set(plain)
    wide = shop.recommend(
        session_id="x", session_items=["i5"], page_size=50, filter={"include_unavailable": True}
    )
    assert "i6" in ids(wide)
    assert "i7" not in ids(wide)


def test_a_users_traffic_without_session_id_finds_the_current_session(shop):
    """Signed-in visitors may be asked for by user alone."""
    shop.apply(record("a", ["i1"], user_id="u"))
    shop.apply(record("b", ["i4", "i5"], user_id="u"))
    assert shop.recommend(user_id="u").session_version == 2


def test_rank_returns_all_items_of_the_caller(shop):
    """The caller's list comes back whole, unknown items last in their order."""
    shop.apply(record("me", ["i4", "i5"]))
    request = pb.RankRequest(session_id="me", item_ids=["zz", "i6", "yy", "i15"])
    answer = pb.RankResponse.FromString(shop.service.rank(request.SerializeToString()))
    assert ids(answer) == ["i6", "i15", "zz", "yy"]


def test_similar_and_trending_answer(shop):
    """The two calls without a visitor."""
    request = pb.SimilarItemsRequest(item_id="i5", page_size=4)
    similar = pb.SimilarItemsResponse.FromString(
        shop.service.similar_items(request.SerializeToString())
    )
    assert {"i4", "i6"} <= set(ids(similar))
    assert "i5" not in ids(similar)
    trending = pb.TrendingResponse.FromString(
        shop.service.trending(pb.TrendingRequest(page_size=4).SerializeToString())
    )
    assert len(trending.items) == 4


def test_similar_items_by_content_are_what_was_asked_for(shop):
    """The field would be passed over, and the answer be that of behaviour."""
    engine = shop.replica.engine
    content = engine.begin_content(time.monotonic)
    for name in ("i4", "i9", "never clicked"):
        engine.put_content(engine.put_item(name), counted(Content(("drama",))))
    content.refit()

    def similar(by):
        request = pb.SimilarItemsRequest(item_id="i4", page_size=2, by=by)
        raw = shop.service.similar_items(request.SerializeToString())
        return pb.SimilarItemsResponse.FromString(raw)

    assert set(ids(similar(pb.SIMILARITY_CONTENT))) == {"i9", "never clicked"}
    assert similar(pb.SIMILARITY_CONTENT).items[0].score == pytest.approx(1)
    behaviour = similar(pb.SIMILARITY_BEHAVIOUR)
    assert set(ids(behaviour)).isdisjoint({"i9", "never clicked"})
    assert behaviour == similar(pb.SIMILARITY_UNSPECIFIED)
    assert set(ids(similar(pb.SIMILARITY_MIX))) & {"i9", "never clicked"}


def test_a_similarity_that_there_is_not_is_named(shop):
    """A client of a later version would get something else than it asked for."""
    raw = pb.SimilarItemsRequest(item_id="i4", by=9).SerializeToString()
    with pytest.raises(RequestError, match="by: is 9; send one of SIMILARITY_BEHAVIOUR"):
        shop.service.similar_items(raw)


def test_similar_items_of_an_unknown_item_is_not_found(shop):
    """An empty answer would hide a misspelt id."""
    with pytest.raises(RequestError) as error:
        shop.service.similar_items(pb.SimilarItemsRequest(item_id="zz").SerializeToString())
    assert error.value.code == code_pb2.NOT_FOUND


@given(
    st.text(PRINTABLE, min_size=1, max_size=256),
    st.floats(width=32, allow_nan=False),
)
def test_pre_serialised_parts_are_what_protobuf_writes(item_id, score):
    """A wrong byte here would be a wrong item at the caller."""
    raw = head(item_id, RECOMMEND_ITEMS) + struct.pack("<f", score)
    parsed = pb.RecommendResponse.FromString(raw).items
    assert [item.item_id for item in parsed] == [item_id]
    assert parsed[0].score == score
