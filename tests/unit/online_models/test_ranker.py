"""The online ranker and the vectors: gradients, learning, robustness, the guard."""

import numpy as np
import pytest

from online_models.engine import Engine
from online_models.engine.snapshot import KEPT
from online_models.learners.click import learn_case
from online_models.memory.layout import Limits
from online_models.ranking import network, prequential
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import N_COMMON, N_FEATURES, N_INPUTS, NAMES, SCHEMA
from online_models.ranking.network import N_BASE, N_NETWORK, WEIGHTS
from online_models.sources.registry import COLUMN
from online_models.vectors import two_towers

LIMITS = Limits(max_items=256, max_sessions=2_048, pairs=256)


@pytest.fixture
def engine():
    return Engine(LIMITS, sample=1)


def scores(engine, x, n, w):
    """The network of one case, in plain numpy and double precision."""
    a = engine.arrays
    w1, b1, w2, b2, out, skip = network._layers.py_func(w)
    more_w1, more_skip = network._optional_layers.py_func(w)
    scale = np.sqrt(a["feature_variance"] + 1e-4)[:, None]
    z = np.clip((x[:, :n] - a["feature_mean"][:, None]) / scale, -5, 5)
    common = np.zeros((network.COMMON, n))
    common[:N_COMMON] = z[:N_COMMON]
    more = np.zeros((network.OPTIONAL, n))
    if x[N_COMMON:].any():
        more[: N_FEATURES - N_COMMON] = z[N_COMMON:N_FEATURES]
    hidden = w1 @ common + more_w1 @ more + b1[:, None]
    hidden = w2 @ np.maximum(hidden, network.SLOPE * hidden) + b2[:, None]
    hidden = np.maximum(hidden, network.SLOPE * hidden)
    return out @ hidden + skip @ common + more_skip @ more


def loss(engine, x, n, y, w):
    """Listwise softmax loss of one case."""
    s = scores(engine, x, n, w)
    return float(np.log(np.exp(s - s.max()).sum()) + s.max() - s[y])


@pytest.mark.parametrize("features", [N_FEATURES, N_COMMON])
def test_the_gradient_is_the_slope_of_the_loss(engine, features):
    """A wrong sign or a lost term would still look like learning, only a worse one."""
    rng = np.random.default_rng(0)
    x = np.zeros((N_INPUTS, CANDIDATES), np.float32)
    n, y = 40, 7
    x[:features, :n] = rng.normal(size=(features, n))
    a = engine.arrays
    w = a["network"][WEIGHTS]
    w[N_BASE:] = rng.normal(size=N_NETWORK - N_BASE) / 10
    network.forward(engine._state, x, n, w)
    assert a["ranking_score"][:n] == pytest.approx(scores(engine, x, n, w), abs=1e-3)
    a["gradient"][:] = 0
    network._backward(engine._state, x, n, y)
    exact, step = w.astype(np.float64), 1e-5
    of_common, optional = rng.choice(N_BASE, 60), N_BASE + rng.choice(N_NETWORK - N_BASE, 30)
    for i in [*of_common.tolist(), *optional.tolist()]:
        up, down = exact.copy(), exact.copy()
        up[i] += step
        down[i] -= step
        slope = (loss(engine, x, n, y, up) - loss(engine, x, n, y, down)) / (2 * step)
        assert a["gradient"][i] == pytest.approx(slope, abs=1e-4, rel=1e-3), i
    if features == N_COMMON:
        assert not a["gradient"][N_BASE:].any()


def teach(engine, steps, rng, broken=0):
    """Cases whose target has the largest sum of two features; returns hits of the last 200."""
    a, hits = engine.arrays, []
    for step in range(steps):
        x = a["features"]
        x[:] = 0
        x[:N_FEATURES, :30] = rng.normal(size=(N_FEATURES, 30))
        y = int(np.argmax(x[3, :30] + x[5, :30]))
        if broken and step % broken == 0:
            x[rng.integers(N_FEATURES), rng.integers(30)] = rng.choice([np.inf, np.nan, 1e30])
        network.forward(engine._state, x, 30, a["network"][network.AVERAGED])
        hits.append(int(np.argmax(a["ranking_score"][:30])) == y)
        a["found"]["candidates"] = 30
        learn_case(engine._state, y)
    return float(np.mean(hits[-200:]))


def test_the_ranker_learns_what_makes_a_target(engine):
    """In one pass over a stream it must find the two features that decide."""
    assert teach(engine, 3_000, np.random.default_rng(1)) > 0.7


def test_wild_features_do_not_ruin_what_was_learned(engine):
    """Infinite and undefined values happen; the weights must stay finite and go on learning."""
    score = teach(engine, 3_000, np.random.default_rng(2), broken=20)
    assert np.isfinite(engine.arrays["network"]).all()
    assert np.isfinite(engine.arrays["feature_mean"]).all()
    assert score > 0.6


def test_features_have_names_and_a_schema():
    """Weights travel with the schema: a changed list of features must change it."""
    assert len(set(NAMES)) == N_FEATURES
    assert len(SCHEMA) == 8


def walk(engine, sessions, seed=0):
    """Sessions that walk i, i+1, i+2 ... with some noise."""
    rng = np.random.default_rng(seed)
    for _ in range(sessions):
        number = engine.open_session()
        at = int(rng.integers(100))
        for _ in range(5):
            engine.learn(number, f"i{at % 100}")
            at += 1 if rng.random() < 0.8 else int(rng.integers(100))


def test_the_ranker_takes_over_once_it_is_as_good(engine):
    """Until it has learned enough the blend answers; then the ranker does, unless it is worse."""
    walk(engine, 100)
    assert not prequential.ranker_serves(engine._state)
    walk(engine, 900, seed=1)
    assert engine.examples > prequential.SERVE_FROM_STEP
    scores = engine.prequential_scores
    # The walk leaves the ranker nothing to gain: it must have become as good.
    assert scores["ranker"]["mrr"] > scores["blend"]["mrr"] - 0.01
    assert 0.5 < scores["ranker"]["hit_rate"] <= 1
    assert prequential.ranker_serves(engine._state)
    named = [engine.item_id(r) for r in engine.recommend([engine.row("i5")], 3).rows]
    assert named[0] == "i6"


def test_a_ranker_that_got_worse_steps_back(engine):
    """A burst of nonsense must not be served: the guard falls back to the blend's order."""
    walk(engine, 1_000)
    plain = Engine(LIMITS, sample=0)
    walk(plain, 1_000)
    plain.arrays["blend_weights"][:] = engine.arrays["blend_weights"]
    engine.arrays["network"][:] *= -1
    engine.arrays["prequential"]["lead"] = -1
    query = [engine.row("i5"), engine.row("i6")]
    guarded, blended = engine.recommend(query, 20), plain.recommend(query, 20)
    assert [engine.item_id(r) for r in guarded.rows[:3]] == [
        plain.item_id(r) for r in blended.rows[:3]
    ]


def test_the_guard_tells_worse_from_unlucky(engine):
    """A ranker a point better must not be sent away by chance; one that is worse must go soon."""
    rng = np.random.default_rng(3)
    engine.arrays["counters"]["ranker_steps"] = prequential.SERVE_FROM_STEP
    state = engine._state

    def serves(cases, lead):
        """Cases after which the ranker served, of so many with this mean lead in MRR."""
        served = 0
        for _ in range(cases):
            gains = np.array([1, 1 / 2, 1 / 5, 1 / 10, 1 / 20])
            places = np.array([0, 1, 4, 9, 19])
            at = int(rng.integers(5))
            better = rng.random() < 0.5 + 2 * lead
            other = max(at - 1, 0) if better else min(at + 1, 4)
            assert gains[other] >= gains[at] or not better
            prequential.note_case(state, int(places[at]), int(places[other]))
            served += prequential.ranker_serves(state)
        return served

    serves(1_000, 0.02)
    assert serves(20_000, 0.02) == 20_000
    serves(2_000, -0.1)
    assert serves(100, -0.1) == 0


def test_vectors_of_items_seen_together_come_together(engine):
    """The product of session and next item must be larger than with any other item, mostly."""
    walk(engine, 1_500)
    a = engine.arrays
    h = np.zeros(64, np.float32)
    hits = 0
    for i in range(100):
        rows = np.array([engine.row(f"i{i}")], np.int32)
        two_towers.session_vector(engine.arrays["context_vectors"], rows, 0, 1, h)
        scores = a["target_vectors"][1:101] @ h
        best = np.argsort(-scores)[:5] + 1
        hits += engine.row(f"i{(i + 1) % 100}") in best.tolist()
    assert hits > 80


def test_a_sessions_own_links_are_no_evidence():
    """What only this session did must not score for what it does next."""
    engine = Engine(LIMITS, sample=0)
    own = engine.open_session()
    for item in ("a", "b", "c", "a", "b", "d", "c"):
        engine.learn(own, item)
    rows, scores = engine.candidates(engine.session_rows(own), own)
    assert len(rows)
    for name in ("seq", "cov", "next", "seq1", "cov1", "pair"):
        assert scores[:, COLUMN[name]].max() < 1e-6, name
    other = engine.open_session()
    for item in ("c", "d"):
        engine.learn(other, item)
    rows, scores = engine.candidates(engine.session_rows(own), own)
    found = {engine.item_id(r): s for r, s in zip(rows.tolist(), scores, strict=True)}
    assert found["d"][COLUMN["seq"]] > 0
    assert found["d"][COLUMN["next"]] > 0
    assert found["a"][COLUMN["seq"]] < 1e-6
    _, open_scores = engine.candidates(engine.session_rows(own))
    assert open_scores[:, COLUMN["seq"]].sum() > scores[:, COLUMN["seq"]].sum()


def test_the_same_clicks_and_seed_give_the_same_bytes():
    """A learner that was killed and one that was not must agree to the bit."""
    twins = [Engine(LIMITS, seed=3, sample=2) for _ in range(2)]
    for twin in twins:
        walk(twin, 700)
    for name in (table.name for table in KEPT):
        assert twins[0].arrays[name].tobytes() == twins[1].arrays[name].tobytes(), name
    other = Engine(LIMITS, seed=4, sample=2)
    walk(other, 700)
    assert other.arrays["network"].tobytes() != twins[0].arrays["network"].tobytes()


def test_a_snapshot_goes_on_learning_as_if_nothing_had_been(tmp_path):
    """A restart in mid-stream must not change what is learned after it."""
    straight = Engine(LIMITS, sample=1)
    walk(straight, 600)
    straight.snapshot(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    for twin in (straight, restored):
        walk(twin, 200, seed=9)
    for name in (table.name for table in KEPT):
        assert straight.arrays[name].tobytes() == restored.arrays[name].tobytes(), name


def test_diversity_and_popularity_equal_a_count_by_hand(engine):
    """They are shown to shop keepers, who compare weeks with one another."""
    walk(engine, 300)
    rows = engine.recommend([engine.row("i5")], 12).rows
    vectors = engine.arrays["target_vectors"][rows]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [vectors[i] @ vectors[j] for i in range(12) for j in range(i)]
    assert engine.diversity(rows) == pytest.approx(1 - np.mean(cosines), abs=1e-4)
    clicks = engine.arrays["stats"]["clicks"][rows]
    assert engine.popularity(rows) == pytest.approx(np.log1p(clicks).mean(), rel=1e-5)
    assert engine.diversity(rows[:1]) == engine.popularity(rows[:0]) == 0


def test_the_shadow_is_the_order_that_did_not_answer(engine):
    """It is compared with the answer: the same candidates, ordered by the other ranking."""
    walk(engine, 1_000)
    query = [engine.row("i5"), engine.row("i6")]
    shown = engine.recommend(query, 10)
    shadows = dict(engine.shadows(10, engine.asked))
    other = shadows["blend"]
    assert engine.ranking == "ranker"
    assert "ranker" not in shadows
    engine.arrays["prequential"]["lead"] = -1  # now the blend answers
    blended = engine.recommend(query, 10)
    assert np.array_equal(blended.rows, other.rows)
    back = dict(engine.shadows(10, engine.asked))["ranker"]
    assert np.array_equal(back.rows, shown.rows)
    asked = engine.asked
    engine.recommend(query, 10)
    assert engine.shadows(10, asked) == []  # another answer has overwritten it
    empty = Engine(LIMITS)
    assert empty.shadows(10, empty.asked) == []
