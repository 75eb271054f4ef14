"""What an explained answer says of its items: reasons, probabilities, timings."""

import time

import numpy as np
import pytest

from nextclick.limits import EXPLAINED_ITEMS
from nextclick.v1.scoreboard_pb2 import Score
from online_models.ranking.policy import Ordered
from tests.unit.server.services.shop import ids, record


class Reversed:
    name, depth = "reversed", 20

    def order(self, rows, scores, asked, items):
        return Ordered(np.arange(len(rows))[::-1])


def test_the_first_items_of_a_long_page_are_explained(shop):
    """Reasons for hundreds of items would take longer than other callers should wait."""
    answer = shop.recommend(session_id="me", session_items=["i4"], page_size=21, explain=True)
    assert [bool(item.reasons) for item in answer.items] == [True] * EXPLAINED_ITEMS + [False]


def test_explained_scores_become_probabilities_once_they_are_calibrated(shop):
    """A score says which item is better; a caller may want to know how likely."""
    shop.apply(record("me", ["i4"]))
    assert (
        not shop.recommend(session_id="me", explain=True)
        .items[0]
        .HasField("next_click_probability")
    )
    score = Score(model="blend", cases=9)
    score.calibration.slope = 1
    shop.replica.apply_score(b"blend", score.SerializeToString())
    answer = shop.recommend(session_id="me", explain=True)
    shares = np.exp([item.score for item in answer.items])
    likely = [item.next_click_probability for item in answer.items]
    assert likely == pytest.approx(list(shares / shares.sum()), abs=1e-3)
    assert not shop.recommend(session_id="me").items[0].HasField("next_click_probability")


def test_probabilities_of_re_ordered_answers_are_those_of_the_policys_own_score(shop):
    """What is shown in another order is clicked with another probability."""
    shop.replica.engine.policy = Reversed()
    for name, slope in (("blend", 1), ("blend+reversed", 0)):
        score = Score(model=name, cases=9)
        score.calibration.slope = slope
        shop.replica.apply_score(name.encode(), score.SerializeToString())
    shop.apply(record("me", ["i4"]))
    likely = [i.next_click_probability for i in shop.recommend(session_id="me", explain=True).items]
    assert likely == [0.5] * len(likely)
    assert likely


def test_explanations_come_with_reasons_and_timings(shop):
    """People who run a shop ask why an item is there."""
    answer = shop.recommend(session_id="x", session_items=["i4", "i5"], page_size=3, explain=True)
    assert ids(answer) == ids(
        shop.recommend(session_id="x", session_items=["i4", "i5"], page_size=3)
    )
    assert all(item.reasons for item in answer.items)
    stages = ["parse", "lock", "session", "candidates", "rank", "page", "reply"]
    assert [t.stage for t in answer.timings] == stages


def test_a_policy_has_a_timing_of_its_own(shop):
    """It is code of the shop's: whether that is slow must be seen."""
    shop.replica.engine.policy = Reversed()
    answer = shop.recommend(session_id="x", session_items=["i4", "i5"], explain=True)
    assert [t.stage for t in answer.timings][-3:] == ["page", "policy", "reply"]


def test_the_timings_of_an_answer_that_waited_for_redis_say_so(shop):
    """Otherwise the wait would be found in no stage, or in a wrong one."""
    shop.replica.caught_up = False
    shop.redis.sessions["me"] = record("me", ["i4", "i5"], version=9)
    answer = shop.recommend(session_id="me", explain=True)
    stages = ["parse", "lock", "session", "redis", "candidates", "rank", "page", "reply"]
    assert [t.stage for t in answer.timings] == stages
    assert answer.session_version == 9


def test_the_shares_of_an_items_reasons_add_up(shop):
    """A shop reads them as parts of a whole."""
    answer = shop.recommend(session_id="x", session_items=["i4", "i5"], explain=True)
    for item in answer.items:
        shares = [reason.share for reason in item.reasons]
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)
        assert min(shares) >= 0
    assert any(len(item.reasons) > 1 for item in answer.items)


def test_timings_are_no_longer_than_the_call(shop):
    """They are read where an answer is slow, to see what of it is ours."""
    began = time.perf_counter_ns()
    answer = shop.recommend(session_id="x", session_items=["i4", "i5"], explain=True)
    took_us = (time.perf_counter_ns() - began) // 1_000
    assert 0 < sum(timing.duration_us for timing in answer.timings) <= took_us
