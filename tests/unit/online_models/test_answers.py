"""Answers: filters that still fill the page, deleted items, empty sessions, explanations."""

import numpy as np
import pytest

from online_models.engine import Engine, Filter
from online_models.engine.inspection import ALONE
from online_models.memory.layout import Limits
from online_models.ranking import explanation
from online_models.ranking.policy import Ordered
from online_models.sources.registry import retrieve


@pytest.fixture(scope="module")
def shop():
    """2,000 items, 300 sessions of 6 clicks around a popular core, a catalogue with rare tags."""
    engine = Engine(Limits(max_items=4_096, max_sessions=512, pairs=1_024))
    for i in range(2_000):
        tags = [f"c{i % 7}"]
        if i % 100 == 0:
            tags.append("one-percent")
        if i % 1_000 == 0:
            tags.append("per-mille")
        engine.put_item(f"i{i}", categories=tags, available=i % 10 != 3)
    rng = np.random.default_rng(0)
    for _ in range(300):
        number = engine.open_session()
        for i in (rng.zipf(1.3, 6) % 2_000).tolist():
            engine.learn(number, f"i{i}")
    return engine


def has(engine, row, tag):
    return engine.categories.numbers[tag] in engine.arrays["categories"][row].tolist()


@pytest.mark.parametrize(("tag", "matching"), [("one-percent", 20), ("per-mille", 2), ("c3", None)])
def test_a_narrow_filter_still_fills_the_page(shop, tag, matching):
    """At 1 % and 0.1 % of the catalogue the pool holds few matches: the rest must be found."""
    wanted = matching or 20
    answer = shop.recommend([1, 2], wanted, flt=Filter(categories=(tag,)))
    assert len(answer.rows) == wanted
    assert len(set(answer.rows.tolist())) == wanted
    assert all(has(shop, r, tag) for r in answer.rows)


def test_a_filter_that_matches_less_than_a_page_gives_all_of_it(shop):
    """Two matching items are an answer of two items, not an error and not others."""
    answer = shop.recommend([1], 20, flt=Filter(categories=("per-mille",)))
    assert sorted(shop.item_id(r) for r in answer.rows) == ["i0", "i1000"]
    assert len(shop.recommend([1], 20, flt=Filter(categories=("no-such",))).rows) == 0


def test_unavailable_items_need_an_invitation(shop):
    """A sold-out item in the answer is a lost visitor."""
    answer = shop.recommend([1], 500)
    assert all(int(shop.item_id(r)[1:]) % 10 != 3 for r in answer.rows)
    answer = shop.recommend([1], 500, flt=Filter(include_unavailable=True))
    assert any(int(shop.item_id(r)[1:]) % 10 == 3 for r in answer.rows)


def test_excluded_rows_never_come(shop):
    """What the caller excludes stays out, of the pool and of the filling."""
    first = shop.recommend([1, 2], 50).rows.tolist()
    rest = shop.recommend([1, 2], 50, flt=Filter(excluded_rows=tuple(first))).rows.tolist()
    assert len(rest) == 50
    assert not set(first) & set(rest)


def test_the_filling_is_by_popularity_through_the_whole_catalogue(shop):
    """Beyond the list of popular items the scan must order what it finds."""
    n = 512
    answer = shop.recommend([], n, flt=Filter(include_unavailable=True))
    clicks = shop.arrays["stats"]["long"][answer.rows]
    known = shop.arrays["stats"]["clicks"][answer.rows] > 0
    ordered = clicks[known]
    assert len(answer.rows) == n
    assert (np.diff(ordered) <= 1e-9).all()
    assert known.tolist() == sorted(known.tolist(), reverse=True)


def test_deleted_items_are_in_no_answer_until_they_return():
    """A deleted item in any answer breaks the promise of the catalogue."""
    engine = Engine(Limits(max_items=64, max_sessions=64, pairs=64))
    for _ in range(3):
        number = engine.open_session()
        for item in ("a", "b", "c"):
            engine.learn(number, item)
    gone = engine.row("b")
    engine.delete_item("b")
    everything = [
        engine.recommend([engine.row("a")], 10),
        engine.recommend([], 10),
        engine.recommend([engine.row("a")], 10, flt=Filter(include_unavailable=True)),
        engine.trending(10),
        engine.similar(engine.row("a"), 10),
    ]
    assert all(gone not in answer.rows.tolist() for answer in everything)
    engine.learn(engine.open_session(), "b")  # a late click does not bring it back
    assert gone not in engine.recommend([], 10).rows.tolist()
    engine.put_item("b")
    assert gone in engine.recommend([], 10).rows.tolist()


def test_similar_items_leave_the_item_itself_out(shop):
    """The item on the page is no news to the visitor."""
    answer = shop.similar(5, 20)
    assert len(answer.rows) == 20
    assert 5 not in answer.rows.tolist()


def test_trending_finds_what_grows_now():
    """A newcomer that is clicked now must come before a steady seller."""
    engine = Engine(Limits(max_items=1_024, max_sessions=8_192, pairs=64))
    rng = np.random.default_rng(1)
    for i in range(12_000):
        item = "steady" if i % 10 == 0 else f"i{rng.integers(500)}"
        if i > 11_500 and i % 10 == 1:
            item = "rising"
        engine.learn(engine.open_session(), item)
    named = [engine.item_id(r) for r in engine.trending(20).rows]
    assert named[0] == "rising"
    assert "steady" not in named[:5]


def test_rank_orders_the_callers_items_unknown_last(shop):
    """Rank must agree with Recommend on items of the pool and push unknown rows down."""
    best = shop.recommend([1, 2], 5)
    scores = shop.rank([1, 2], [0, *best.rows.tolist(), 1_999])
    assert scores[1:6].tolist() == pytest.approx(best.scores.tolist())
    assert scores[0] == scores.min()
    assert (scores[1:6] > scores[6]).all()


def test_an_explanation_names_sources_and_the_items_behind():
    """Reasons must sum to one and point at items of the session."""
    engine = Engine(Limits(max_items=64, max_sessions=64, pairs=64))
    for _ in range(3):
        number = engine.open_session()
        for item in ("a", "b", "c"):
            engine.learn(number, item)
    wanted = np.array([engine.row("c"), 60, engine.row("c")])
    reasons, unknown, again = engine.explain([engine.row("x"), engine.row("b")], wanted)
    assert unknown == [("popularity", 1, [])]
    assert reasons == again
    assert sum(share for _, share, _ in reasons) == pytest.approx(1, abs=1e-5)
    assert all(because in ([engine.row("b")], []) for _, _, because in reasons)
    assert [engine.row("b")] in [because for _, _, because in reasons]
    assert {source for source, _, _ in reasons} & {"session-knn", "rules", "covisitation"}


def test_explaining_many_items_queries_as_often_as_explaining_one(shop, monkeypatch):
    """Nine queries for each item of a page of 500 kept all other answers waiting for 0.4 s."""
    queries = []

    def counted(state):
        queries.append(1)
        retrieve(state)

    monkeypatch.setattr(explanation, "retrieve", counted)
    rows = shop.recommend([1, 2], 500).rows
    explained = shop.explain(list(range(1, 21)), rows)
    assert len(explained) == len(rows)
    assert len(queries) == 1 + ALONE


@pytest.mark.parametrize("k", [0, -1, 513])
def test_a_page_outside_the_bounds_is_an_error(shop, k):
    """The kernels write k rows: a larger page would write past the end of the answer."""
    with pytest.raises(ValueError, match="k must be"):
        shop.recommend([1], k)


class Given:
    """A policy that answers what it was given."""

    name, depth = "given", 8

    def __init__(self, places, propensities=None):
        self._order = Ordered(np.array(places), propensities)

    def order(self, rows, scores, asked, items):
        del rows, scores, asked, items
        return self._order


def test_a_policy_orders_the_page_and_its_propensities_go_along(shop):
    """What was drawn must be told with its probability, place by place."""
    plain = shop.recommend([1, 2], 8)
    shop.policy = Given([3, 0, 5, 1], np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    try:
        page = shop.recommend([1, 2], 2)
    finally:
        shop.policy = None
    assert page.rows.tolist() == plain.rows[[3, 0]].tolist()
    assert page.propensities.tolist() == pytest.approx([0.4, 0.3])
    assert page.n_ranked == 2


@pytest.mark.parametrize("places", [[0, 0], [-1], [8], [0.0, 1.0], [[0], [1]], [True, False]])
def test_an_order_that_is_none_is_refused_by_the_policys_name(shop, places):
    """A faulty policy must not show an item twice, or one that nobody ranked."""
    shop.policy = Given(places)
    try:
        with pytest.raises(ValueError, match="policy given"):
            shop.recommend([1, 2], 2)
    finally:
        shop.policy = None


@pytest.mark.parametrize("drawn", [[0.5], [np.nan, 0.5], [0.5, 0.0], [1.5, 1.0]])
def test_propensities_that_are_no_probabilities_are_refused(shop, drawn):
    """Off-policy estimates divide by them: one NaN or 0 among the impressions spoils them all."""
    shop.policy = Given([1, 0], drawn)
    try:
        with pytest.raises(ValueError, match=r"policy given.*propensities"):
            shop.recommend([1, 2], 2)
    finally:
        shop.policy = None


def test_a_policy_may_leave_items_out_and_return_lists(shop):
    """A rule that forbids items shows a shorter page rather than what it forbids."""
    plain = shop.recommend([1, 2], 8)
    shop.policy = Given([])
    shop.policy._order = Ordered([4, 2], [0.5, 1.0])
    try:
        page = shop.recommend([1, 2], 6)
    finally:
        shop.policy = None
    assert page.rows.tolist() == plain.rows[[4, 2]].tolist()
    assert page.propensities.tolist() == [0.5, 1.0]
