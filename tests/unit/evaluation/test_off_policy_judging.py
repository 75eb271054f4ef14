"""Verdicts and refusals; the click model; pages in blocks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import NoDataError
from evaluation.off_policy import estimators, pages
from evaluation.off_policy.click_model import PRIOR_SHOWN, fit, rank_groups
from evaluation.off_policy.judging import (
    BETTER,
    MODEL,
    UNDECIDED,
    WORSE,
    Estimate,
    effective_clicks,
    effective_pages,
    effective_sample,
    judge,
    judge_walked,
)
from evaluation.off_policy.policies import EpsilonGreedy, Greedy, PlackettLuce
from evaluation.off_policy.walk import Walked, walk
from tests.unit.evaluation.slate_world import World, plackett_luce

LOGGING = plackett_luce(1.0)


def seen(weight, click):
    """Pages with these weights and clicks by place, and a model that knows nothing."""
    weight, click = np.array(weight, float), np.array(click, float)
    none, n = np.zeros(weight.shape), len(weight)
    return Walked(weight, click, none, none, none, np.zeros(n), np.ones(n), np.arange(n))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_an_effective_sample_is_no_larger_than_the_sample(weights):
    """And as large for equal weights: a larger one would let nothing be refused."""
    found = effective_sample(np.array(weights))
    assert 0 <= found <= len(weights) + 1e-9
    assert effective_sample(np.full(len(weights), 3.0)) == pytest.approx(len(weights))


def test_places_have_the_sample_that_their_clicks_rest_on():
    """If the last place decided, no page of 20 places could be judged."""
    n = 100
    weight = np.ones((n, 2))
    weight[:, 1] = 0
    weight[:4, 1] = 25.0
    click = np.zeros((n, 2))
    click[:9, 0] = 1
    walked = seen(weight, click)
    columns = estimators.rips(walked)
    # 9 clicks where 100 pages tell, none where 4 do; half a click is added to each.
    assert effective_pages(walked, columns) == pytest.approx(10 / (9.5 / 100 + 0.5 / 4))
    assert effective_pages(walked, estimators.ips(walked)) == pytest.approx(4)
    assert effective_clicks(walked, columns) == pytest.approx(9)
    assert effective_pages(walked, estimators.dm(walked)) is None
    lost = seen(np.stack([np.ones(n), np.zeros(n)], axis=1), click)
    assert effective_pages(lost, estimators.rips(lost)) == 0


def test_too_few_pages_or_clicks_are_refused_with_the_number():
    """Their intervals would not cover what they say."""
    n = 1_000
    click = np.zeros((n, 1))
    click[:30] = 1
    weight = np.ones((n, 1))
    by = {e.name: e for e in judge_walked(seen(weight, click)).estimates}
    assert not any(e.refused for e in by.values())
    few = {e.name: e for e in judge_walked(seen(weight[:199], click[:199])).estimates}
    assert few["IPS"].refused == "effective sample of 199 pages, below 200"
    assert few["IPS"].verdict == "refused"
    assert few["DM"].verdict == MODEL
    assert not few["DM"].refused
    click[19:] = 0
    rare = {e.name: e for e in judge_walked(seen(weight, click)).estimates}
    assert rare["DR"].refused == "effective sample of 19 clicks, below 20"
    assert not judge_walked(seen(weight, click), least_clicks=19).estimates[0].refused
    assert (
        not judge_walked(seen(weight[:199], click[:199]), least_effective=199, least_clicks=1)
        .estimates[0]
        .refused
    )


def test_a_log_that_lacks_what_the_policy_shows_is_refused():
    """Its weights do not add up to 1; the estimate would be too low, and look precise."""
    n = 2_000
    click = np.zeros((n, 1))
    click[:100] = 1
    weight = np.random.default_rng(1).uniform(0.6, 0.8, (n, 1))
    judged = judge_walked(seen(weight, click))
    assert "mean weight of 0.70 instead of 1: the log lacks" in judged.estimates[0].refused
    assert judged.mean_weight == pytest.approx(0.7, abs=0.01)
    fair = judge_walked(seen(weight / weight.mean(), click))
    assert not fair.estimates[0].refused


def test_a_policy_that_the_log_cannot_show_is_refused():
    """Greedy on a log of pages of which the best item was never on top."""
    world = World.drawn(1, contexts=3, items=4, places=2)
    log = world.log(LOGGING, 6_000, np.random.default_rng(1))
    best = world.scores.argmax(axis=1)[log.first // 4]
    kept = np.flatnonzero(log.shown[:, 0] != best)
    judged = judge(log.take(kept), EpsilonGreedy(0.5))
    assert all(e.refused for e in judged.estimates if e.name != "DM")
    nothing = judge(log.take(kept), Greedy())
    assert nothing.mean_weight == 0
    assert "sample of 0 pages" in nothing.estimates[0].refused


def test_verdicts_are_by_the_difference_to_the_log():
    """The same visitors saw both: their difference is known better than either."""

    def verdict(gain, effective=500.0, refused=""):
        return Estimate("IPS", 0.1, (0, 1), None, gain, effective, 50.0, refused).verdict

    assert verdict((0.001, 0.02)) == BETTER
    assert verdict((-0.02, -0.001)) == WORSE
    assert verdict((-0.01, 0.02)) == UNDECIDED
    assert verdict((0.001, 0.02), None) == MODEL
    assert verdict((0.001, 0.02), 5.0, "few") == "refused"


def test_a_policy_is_told_from_the_one_that_wrote_the_log():
    """Of the same sign as the truth, with intervals that hold it."""
    world = World.drawn(3, places=3)
    log = world.log(LOGGING, 8_000, np.random.default_rng(5))
    truth = world.truth(plackett_luce(0.5))
    assert truth > world.truth(LOGGING) + 0.01
    judged = judge(log, PlackettLuce(0.5))
    by_name = {e.name: e for e in judged.estimates}
    assert len(by_name) == 8
    for name in ("RIPS", "SNRIPS", "cascade-DR"):
        low, high = by_name[name].interval
        assert low - 0.01 < truth < high + 0.01
        assert by_name[name].verdict == BETTER
    bound, interval = by_name["RIPS"].bernstein, by_name["RIPS"].interval
    assert bound[0] < interval[0] < interval[1] < bound[1]
    assert by_name["DR"].bernstein is None
    same = judge(log, PlackettLuce(1.0))
    assert same.estimates[0].value == pytest.approx(same.own)
    assert same.estimates[0].verdict == UNDECIDED
    assert judge(log, PlackettLuce(2.0)).estimates[3].verdict == WORSE


def test_a_log_without_pages_is_an_error():
    """There is nothing to divide by."""
    log = World.drawn(1).log(LOGGING, 1, np.random.default_rng(1))
    with pytest.raises(NoDataError):
        judge(log.take(slice(0)), Greedy())


def test_a_page_is_predicted_without_its_own_clicks():
    """A model that knows them would call them expected: nothing would be left to correct."""
    log = World.drawn(4, places=2).log(LOGGING, 400, np.random.default_rng(2))
    even = log.visitor % 2 == 0
    changed = replace(log, click=np.where(even[:, None], 1 - log.click, log.click))
    before, after = (walk(x, Greedy(), fit(x)) for x in (log, changed))
    assert (before.fitted[even] == after.fitted[even]).all()
    assert (before.expected[even] == after.expected[even]).all()
    assert (before.later[even] == after.later[even]).all()
    assert (before.fitted[~even] != after.fitted[~even]).any()


def test_the_click_model_finds_places_ranks_and_items():
    """Of much data, the rates that made them."""
    random = np.random.default_rng(3)
    n, items = 60_000, 6
    place, item = random.integers(3, size=n), random.integers(items, size=n)
    score = np.tile(np.arange(items)[::-1], 1).astype(float)
    rate = np.array([0.3, 0.2, 0.1])[place] * np.array([1, 1, 1, 1, 1, 2])[item]
    log = pages.Pages(
        item=np.arange(items),
        score=score,
        first=np.zeros(n, int),
        size=np.full(n, items),
        shown=item[:, None],
        propensity=np.full((n, 1), 1 / items),
        click=(random.random(n) < rate)[:, None].astype(float),
        place=place[:, None],
        visitor=np.arange(n),
        inclusion=np.ones(n),
        time_s=np.zeros(n),
        names=[str(i) for i in range(items)],
    )
    model = fit(log)
    assert model.place == pytest.approx(np.tile([0.35, 0.7 / 3, 0.35 / 3], (2, 1)), rel=0.05)
    [first, *_] = log.take(np.arange(6)).blocks()
    ranks = rank_groups(first)
    assert ranks[0].tolist() == [1, 2, 2, 3, 3, 3]
    found = model.of_block(first, 0, ranks)
    place_of = first.pages.place[:, 0]
    for row in range(6):
        base = [0.3, 0.2, 0.1][place_of[row]]
        assert found[row, 5] == pytest.approx(2 * base, rel=0.1)
        assert found[row, 0] == pytest.approx(base, rel=0.1)
    flat = replace(log, score=np.zeros(items))
    [block, *_] = flat.take(np.arange(2)).blocks()
    assert (rank_groups(block) == 0).all()


def test_few_showings_are_drawn_towards_the_mean():
    """One click of one showing is no rate of 1."""
    log = World.drawn(6, places=1).log(LOGGING, 2, np.random.default_rng(1))
    log = replace(log, click=np.ones((2, 1)), visitor=np.array([0, 1]))
    log = replace(log, click=np.array([[1.0], [0.0]]))
    model = fit(log)
    assert model.place[1, 0] == 1.0  # learned from the one page with a click: all it knows
    assert model.place[0, 0] == 0.0
    assert PRIOR_SHOWN > 1
    assert model.item.max() < 1.5


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 200))
def test_blocks_have_each_page_once_and_pools_as_they_are(sizes, cells):
    """A page that is lost, or has a neighbour's candidates, is in every estimate."""
    sizes = np.array(sizes)
    n, total = len(sizes), int(sizes.sum())
    log = pages.Pages(
        item=np.arange(total),
        score=np.arange(total) / 7,
        first=np.cumsum(sizes) - sizes,
        size=sizes,
        shown=np.zeros((n, 1), int),
        propensity=np.ones((n, 1)),
        click=np.zeros((n, 1)),
        place=np.zeros((n, 1), int),
        visitor=np.arange(n),
        inclusion=np.ones(n),
        time_s=np.zeros(n),
        names=[str(i) for i in range(total)],
    )
    seen_rows = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "BLOCK_CELLS", cells)
        for block in log.blocks():
            assert len(block.rows) == 1 or block.item.size <= cells
            for row, item, score, there in zip(
                block.rows, block.item, block.score, block.there, strict=True
            ):
                pool = np.arange(log.first[row], log.first[row] + sizes[row])
                assert item[there].tolist() == pool.tolist()
                assert score[there].tolist() == (pool / 7).tolist()
                assert (score[~there] == -np.inf).all()
            seen_rows += block.rows.tolist()
            assert block.pages.visitor.tolist() == block.rows.tolist()
    assert sorted(seen_rows) == list(range(n))


def test_shorter_pages_keep_their_first_places():
    """`--places` is about the top of a page."""
    log = World.drawn(5, places=3).log(LOGGING, 50, np.random.default_rng(1))
    short = log.shortened(2)
    assert short.places == 2
    assert (short.shown == log.shown[:, :2]).all()
    assert (short.click == log.click[:, :2]).all()
    assert log.shortened(9).places == 3
