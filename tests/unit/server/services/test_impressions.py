"""What is recorded of an answer: its impression, and the rankings in its shadow."""

import hashlib

import numpy as np
import pytest

from nextclick.limits import MAX_POOL_ITEMS
from online_models.ranking.page import MAX_ANSWER
from online_models.ranking.policy import Ordered
from server.services import impression_recorder
from server.services.impression_recorder import in_sample
from server.services.recommendation import Recommendations
from tests.unit.server.services.shop import ids, record


class Reversed:
    """A policy that shows the worst first; it says that it drew, if it is told to."""

    name, depth = "reversed", 30

    def __init__(self, *, draws=True):
        self._draws = draws

    def order(self, rows, scores, asked, items):
        places = np.arange(len(rows))[::-1]
        drawn = np.linspace(0.1, 0.9, len(rows), dtype=np.float32)
        return Ordered(places, drawn if self._draws else None)


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


def recommend_with(shop, policy, pool_share, **fields):
    """The impression of an answer that a policy has ordered."""
    shop.service = Recommendations(
        shop.replica, shop.redis, shop.impressions, pool_share=pool_share
    )
    shop.replica.engine.policy = policy
    answer = shop.recommend(session_id="t1", **fields)
    return answer, shop.impressions.seen[-1][0]


def test_an_answer_that_a_policy_drew_is_recorded_with_what_it_chose_from(shop):
    """Off-policy estimates ask what another policy would have chosen from it."""
    plain = shop.recommend(session_id="t1", page_size=30)
    answer, impression = recommend_with(shop, Reversed(), 1.0, page_size=5)
    assert list(impression.pool_item_ids) == ids(plain)
    assert list(impression.pool_scores) == [item.score for item in plain.items]
    assert len(impression.pool_item_ids) > 5
    assert list(impression.item_ids) == ids(answer) == ids(plain)[::-1][:5]
    assert len(impression.propensities) == 5
    assert impression.inclusion_probability == 1


@pytest.mark.parametrize(
    ("policy", "pool_share"), [(None, 1.0), (Reversed(draws=False), 1.0), (Reversed(), 0.0)]
)
def test_no_other_answer_has_a_pool(shop, policy, pool_share):
    """It would only make the record longer."""
    _, impression = recommend_with(shop, policy, pool_share)
    assert not impression.pool_item_ids
    assert not impression.pool_scores
    assert impression.inclusion_probability == 0


def test_answers_with_a_pool_are_a_sample_by_the_hash_of_their_ids(shop):
    """Who reads the log can tell which ones, and how many were meant by each."""
    recommend_with(shop, Reversed(), 0.25)
    for _ in range(80):
        shop.recommend(session_id="t1")
    seen = [impression for impression, _ in shop.impressions.seen[-81:]]
    pools = [i for i in seen if i.pool_item_ids]
    assert 5 <= len(pools) <= 40
    assert {i.inclusion_probability for i in pools} == {0.25}
    for impression in seen:
        name = impression.recommendation_id.encode()
        first = hashlib.blake2b(name, digest_size=8).digest()[0]
        assert bool(impression.pool_item_ids) == (first < 64)


def test_the_sample_of_a_share_is_of_that_share():
    """And that of a lower share is part of it."""
    names = [f"0123456789ab{n:x}" for n in range(20_000)]
    before = set()
    for share in (0.0, 0.01, 0.25, 0.5, 1.0):
        sample = {name for name in names if in_sample(name, share)}
        assert before <= sample
        assert abs(len(sample) - share * 20_000) <= 5 * (20_000 * share * (1 - share)) ** 0.5
        before = sample


def test_a_pool_that_does_not_fit_into_the_record_is_left_out(shop, monkeypatch):
    """The record would be refused by every reader, with its answer."""
    assert MAX_POOL_ITEMS == MAX_ANSWER
    _, impression = recommend_with(shop, Reversed(), 1.0)
    size = impression.ByteSize()
    for most, there in ((size - 1, False), (size, True)):
        monkeypatch.setattr(impression_recorder, "MAX_IMPRESSION_BYTES", most)
        shop.recommend(session_id="t1")
        impression, _ = shop.impressions.seen[-1]
        assert bool(impression.pool_item_ids) == there
        assert bool(impression.inclusion_probability) == there
        assert impression.propensities
