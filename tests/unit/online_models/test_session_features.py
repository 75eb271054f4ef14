"""Features of time and content, against a count by hand."""

import math

import numpy as np
import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.ranking.blend import N_TERMS
from online_models.ranking.features.registry import FEATURES, NAMES
from online_models.sources.registry import COLUMN

LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)
ITEMS = {"a": ("red", "big"), "b": ("red",), "c": ("blue",), "d": (), "e": ("big", "blue")}
TITLES = {"a": "oak chair", "b": "oak table", "c": "steel table", "d": "oak chair", "e": ""}


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr("online_models.engine.engine.LEARN_FROM_CLICK", 0)
    engine = Engine(LIMITS, sample=0, remote=True)
    for item_id, categories in ITEMS.items():
        engine.put_item(item_id, categories=categories, title=TITLES[item_id])
    for _ in range(3):
        number = engine.open_session()
        for item_id in "abcdeabcde":
            engine.learn(number, item_id)
    return engine


def features(engine, clicks):
    """Features by name and item of the case that a session makes; clicks as (item, second)."""
    number = engine.open_session()
    for item_id, at_s in clicks:
        engine.learn(number, item_id, at_s=at_s)
    example = engine.example(number, "c")
    return {
        name: dict(zip(example.item_ids, example.features[NAMES.index(name)].copy(), strict=True))
        for name in NAMES
    }


def test_categories_and_tokens_are_matched_with_the_session(engine):
    """What visitors look at is often alike; a model of clicks alone sees it late."""
    x = features(engine, [("a", 0), ("b", 0), ("d", 0), ("b", 0)])
    share, last, tokens = x["category_share"], x["category_last"], x["content_last"]
    assert share["a"] == share["b"] == pytest.approx(3 / 4)
    assert share["e"] == pytest.approx(1 / 4)
    assert share["c"] == share["d"] == 0
    assert (last["a"], last["b"], last["c"], last["d"]) == (1, 1, 0, 0)
    # Of b: its category, "oak", "table".
    assert tokens["b"] == 1
    assert tokens["a"] == pytest.approx(2 / 3)
    assert tokens["c"] == tokens["d"] == pytest.approx(1 / 3)
    assert tokens["e"] == 0
    assert not engine.arrays["shares"].any(), "the next answer begins with nothing"


def test_times_are_those_of_the_clicks(engine):
    """A visitor who reads for a minute wants something else than one who rushes."""
    day = 86_400
    x = features(engine, [("a", 7 * day), ("b", 7 * day + 21_600)])
    assert x["log_gap"]["a"] == pytest.approx(math.log(21_601), rel=1e-5)
    assert x["hour_sine"]["a"] == pytest.approx(1)
    assert x["hour_cosine"]["a"] == pytest.approx(0, abs=1e-6)
    for clicks in ([("a", 0), ("b", 0)], [("a", 0)]):
        unknown = features(engine, clicks)
        assert {unknown[n]["a"] for n in ("log_gap", "hour_sine", "hour_cosine")} == {0}
    backwards = features(engine, [("a", 9 * day), ("b", 8 * day)])
    assert backwards["log_gap"]["a"] == 0


def test_times_of_the_caller_equal_those_of_the_session(engine):
    """A session from Redis, or one that is not learned, gives the same features."""
    number = engine.open_session()
    engine.learn(number, "a", at_s=1_000)
    engine.learn(number, "b", at_s=1_060)
    rows = [engine.row("a"), engine.row("b")]
    features = []
    for own, times_s in ((number, (0, 0)), (-1, (1_000, 1_060))):
        engine.recommend(rows, 5, own, times_s=times_s)
        features.append(engine.arrays["time_features"].copy())
    assert np.array_equal(*features)
    assert features[0][0] > 0


def test_a_slot_that_goes_to_another_session_forgets_its_times(engine):
    """The times of a stranger would say that one had been reading for days."""
    first = engine.open_session()
    engine.learn(first, "a", at_s=500)
    number = first
    while number != first + LIMITS.max_sessions:
        number = engine.open_session()
    engine.learn(number, "a", at_s=90_000)
    engine.recommend([engine.row("a")], 5, number)
    assert engine.arrays["time_features"][0] == 0


def test_the_item_before_the_last_has_columns_of_its_own(engine):
    """What both items lead to differs from what one of them leads to twice."""
    x = features(engine, [("c", 0), ("a", 0)])
    y = features(engine, [("a", 0), ("c", 0)])
    assert x["raw_seq2"]["d"] == pytest.approx(y["seq1"]["d"] * scale(engine), rel=0.1)
    assert x["raw_seq2"]["d"] > 0
    assert x["raw_cov2"]["d"] > 0
    alone = features(engine, [("a", 0)])
    assert set(alone["raw_seq2"].values()) == {0}


def scale(engine):
    """The best raw score of the last item's rules, which its share is of."""
    return 1 / engine.arrays["scale"][COLUMN["seq1"]]


def test_what_is_left_out_says_nothing_and_the_rest_stays():
    """The frontier compares models that lack one part with those that have all of it."""
    limits = Limits(max_items=64, max_sessions=1_024, pairs=256)
    engine = Engine(limits, sample=1)
    for i in range(1_500):
        number = engine.open_session()
        for step in range(3):
            engine.learn(number, f"i{(i + step) % 30}")
    query = [engine.row("i4"), engine.row("i5")]
    whole = engine.recommend(query, 10)
    pair = COLUMN["pair"]
    rows, before = engine.candidates(query)
    assert before[:, pair].any()
    family = [feature.name for feature in FEATURES if feature.part == "vectors"]
    engine.leave_out(["pair"], family)
    after = dict(zip(*(part.tolist() for part in engine.candidates(query)), strict=True))
    for row, scores in zip(rows.tolist(), before.tolist(), strict=True):
        if row in after:
            assert after[row][pair] == 0
            assert after[row][:pair] == scores[:pair]
    engine.recommend(query, 10)
    features = engine.arrays["features"]
    for k, name in enumerate(NAMES):
        if name in family or name in ("pair", "root_pair", "raw_pair"):
            assert not features[k].any(), name
    assert features[NAMES.index("seq")].any()
    engine.leave_out()
    again = engine.recommend(query, 10)
    assert np.array_equal(again.rows, whole.rows)
    assert np.array_equal(again.scores, whole.scores)


def test_what_is_left_out_of_the_blend_weighs_nothing(engine):
    """Two rows of the frontier would measure half of what they say."""
    number = engine.open_session()
    for item_id in "ab":
        engine.learn(number, item_id)
    own = [feature.name for feature in FEATURES if feature.part == "own items"]
    engine.recommend([engine.row("a"), engine.row("b")], 5, number)
    with_own = scores_of_pool(engine)
    engine.leave_out(features=own)
    engine.recommend([engine.row("a"), engine.row("b")], 5, number)
    without = scores_of_pool(engine)
    weights = engine.arrays["blend_weights"]
    for item_id, ago in (("b", 0), ("a", 1)):
        terms = {"own": 1, "own_count": 1, "own_log_ago": math.log(1 + ago)}
        terms |= {"own_last" if ago == 0 else "own_second": 1}
        lost = sum(weights[NAMES.index(name)] * x for name, x in terms.items())
        row = engine.row(item_id)
        assert with_own[row] - without[row] == pytest.approx(lost, abs=1e-5)
    assert with_own[engine.row("d")] == without[engine.row("d")]


def scores_of_pool(engine):
    n = int(engine.arrays["found"]["pool_size"][0])
    rows = engine.arrays["pool"][:n].tolist()
    return dict(zip(rows, engine.arrays["pool_score"][:n].tolist(), strict=True))


def test_the_blends_score_is_the_product_of_features_and_weights(engine):
    """The blend picks by the terms that its weights are learned on."""
    number = engine.open_session()
    for item_id in ("a", "b", "d", "b"):
        engine.learn(number, item_id)
    assert engine.example(number, "c").target >= 0
    a = engine.arrays
    n = int(a["found"]["candidates"][0])
    products = a["blend_weights"][:N_TERMS] @ a["features"][:N_TERMS, :n]
    assert products == pytest.approx(a["pool_score"][a["candidates"][:n]], abs=1e-5)


def test_every_feature_says_what_it_is():
    """A stranger finds the meaning of a feature in one place."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(feature.part and feature.meaning for feature in FEATURES)
