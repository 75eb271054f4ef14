"""What is recorded of an answer: its impression, and the rankings in its shadow."""

from server.services.recommendation import Recommendations
from tests.unit.server.services.shop import ids, record


def test_impressions_say_what_was_answered(shop):
    """Attribution rests on them."""
    shop.apply(record("me", ["i4"]))
    answer = shop.recommend(session_id="me", session_items=["i5"], page_size=3)
    impression, key = shop.impressions.seen[-1]
    assert impression.recommendation_id == answer.recommendation_id
    assert (impression.session_id, key, impression.session_version) == ("me", "me", 1)
    assert list(impression.appended_item_ids) == ["i5"]
    assert list(impression.item_ids) == ids(answer)
    assert list(impression.scores) == [item.score for item in answer.items]
    assert impression.model == "blend"
    assert impression.known_items == len(shop.replica.engine.ids) - 1
    shop.recommend(user_id="someone")
    impression, key = shop.impressions.seen[-1]
    assert (impression.session_id, key) == ("", "u:someone")


def test_an_impression_names_the_items_that_the_request_has_added(shop):
    """The next click on an item that the stream had brought already is a case like any other."""
    shop.apply(record("me", ["i4", "i5"]))
    for items, added in ((["i4", "i5"], []), (["i5", "i6"], ["i6"]), (["i7"], ["i7"])):
        shop.recommend(session_id="me", session_items=items)
        impression, _ = shop.impressions.seen[-1]
        assert list(impression.appended_item_ids) == added


def test_an_explained_answer_gets_no_other_ones_shadow(shop):
    """Reasons are found by queries of their own, which leave other candidates behind."""
    shop.service = Recommendations(shop.replica, shop.redis, shop.impressions, shadow_sample=1)
    shop.replica.engine.arrays["counters"]["ranker_steps"] = 1
    shop.apply(record("me", ["i4", "i9"]))
    shop.recommend(session_id="me", page_size=10)
    shop.recommend(session_id="me", page_size=10, explain=True)
    plain, explained = (impression for impression, _ in shop.impressions.seen)
    assert plain.shadows
    assert not explained.shadows
    assert explained.HasField("diversity")


def test_one_answer_in_so_many_is_also_ranked_by_all_other_rankings(shop):
    """What nobody is shown costs time: a sample is enough to compare rankings."""
    shop.service = Recommendations(shop.replica, shop.redis, shop.impressions, shadow_sample=3)
    # There is a ranker, if not one that may answer.
    shop.replica.engine.arrays["counters"]["ranker_steps"] = 1
    shop.apply(record("me", ["i4"]))
    for _ in range(6):
        answer = shop.recommend(session_id="me", page_size=10)
    sampled = [i for i, _ in shop.impressions.seen if i.shadows]
    assert len(sampled) == 2
    assert sampled[-1].recommendation_id == answer.recommendation_id
    [shadow] = [other for other in sampled[-1].shadows if other.model == "ranker"]
    assert set(shadow.item_ids) >= {"i5", "i6"}
    assert len(shadow.scores) == len(shadow.item_ids)
    assert all(i.HasField("diversity") == bool(i.shadows) for i, _ in shop.impressions.seen)
    assert 0 < sampled[-1].diversity < 2
    assert sampled[-1].popularity > 0


def test_a_rehearsal_answers_nobody(shop):
    """It warms the caches; an impression of it would be a view that nobody had."""
    newest = shop.replica.sessions.newest(10)
    assert newest == [f"t{i}" for i in range(59, 49, -1)]
    shop.service.rehearse(newest)
    shop.service.send_impressions()
    assert not shop.impressions.seen
