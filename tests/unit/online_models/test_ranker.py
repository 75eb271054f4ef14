"""The online ranker and the vectors: gradients, learning, robustness, the guard."""

import numpy as np
import pytest

from online_models import learning as online
from online_models.engine import Engine
from online_models.memory.layout import CANDIDATES, COV, NEXT, SEQ, STEPS, Limits
from online_models.ranking import network as ranker
from online_models.ranking.features import N_FEATURES, NAMES, SCHEMA
from online_models.ranking.network import N_RANKER, WEIGHTS
from online_models.vectors import two_towers as vectors

LIMITS = Limits(max_items=256, max_sessions=2_048, pairs=256)


@pytest.fixture
def engine():
    return Engine(LIMITS, sample=1)


def loss(engine, x, n, y):
    """Listwise softmax loss of one case, by numpy's exponentials on the kernel's scores."""
    ranker.forward(engine._state, x, n, engine.arrays["ranker"][WEIGHTS])
    s = engine.arrays["ranker_score"][:n].astype(np.float64)
    return float(np.log(np.exp(s - s.max()).sum()) + s.max() - s[y])


def test_the_gradient_is_the_slope_of_the_loss(engine):
    """A wrong sign or a lost term would still look like learning, only a worse one."""
    rng = np.random.default_rng(0)
    x = np.zeros((N_FEATURES, CANDIDATES), np.float32)
    n, y = 40, 7
    x[:, :n] = rng.normal(size=(N_FEATURES, n))
    a = engine.arrays
    a["gradient"][:] = 0
    ranker._backward(engine._state, x, n, y)
    gradient = a["gradient"].copy()
    w = a["ranker"][WEIGHTS]
    for i in rng.choice(N_RANKER, 60, replace=False).tolist():
        old, step = w[i], np.float32(1e-2)
        w[i] = old + step
        up = loss(engine, x, n, y)
        w[i] = old - step
        down = loss(engine, x, n, y)
        w[i] = old
        assert gradient[i] == pytest.approx((up - down) / (2 * step), abs=3e-3), i


def teach(engine, steps, rng, broken=0):
    """Cases whose target has the largest sum of two features; returns hits of the last 200."""
    a, hits = engine.arrays, []
    for step in range(steps):
        x = a["features"]
        x[:] = 0
        x[:, :30] = rng.normal(size=(N_FEATURES, 30))
        y = int(np.argmax(x[3, :30] + x[5, :30]))
        if broken and step % broken == 0:
            x[rng.integers(N_FEATURES), rng.integers(30)] = rng.choice([np.inf, np.nan, 1e30])
        ranker.forward(engine._state, x, 30, a["ranker"][ranker.AVERAGED])
        hits.append(int(np.argmax(a["ranker_score"][:30])) == y)
        online.learn_example(engine._state, 30, y)
    return float(np.mean(hits[-200:]))


def test_the_ranker_learns_what_makes_a_target(engine):
    """In one pass over a stream it must find the two features that decide."""
    assert teach(engine, 3_000, np.random.default_rng(1)) > 0.7


def test_wild_features_do_not_ruin_what_was_learned(engine):
    """Infinite and undefined values happen; the weights must stay finite and go on learning."""
    score = teach(engine, 3_000, np.random.default_rng(2), broken=20)
    assert np.isfinite(engine.arrays["ranker"]).all()
    assert np.isfinite(engine.arrays["mean"]).all()
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


def test_the_ranker_takes_over_once_it_is_better(engine):
    """Until it has learned enough the blend answers; then the ranker does, if it is better."""
    walk(engine, 100)
    assert not online.ranker_serves(engine._state)
    walk(engine, 900, seed=1)
    assert engine._ctr[STEPS] > online.SERVE_FROM_STEP
    scores = engine.live_scores
    assert scores["ranker"]["mrr"] > scores["blend"]["mrr"]
    assert 0.5 < scores["ranker"]["hit_rate"] <= 1
    assert online.ranker_serves(engine._state)
    named = [engine.item_id(r) for r in engine.recommend([engine.row("i5")], 3).rows]
    assert named[0] == "i6"


def test_a_ranker_that_got_worse_steps_back(engine):
    """A burst of nonsense must not be served: the guard falls back to the blend's order."""
    walk(engine, 1_000)
    plain = Engine(LIMITS, sample=0)
    walk(plain, 1_000)
    plain.arrays["weights"][:] = engine.arrays["weights"]
    engine.arrays["ranker"][:] *= -1
    engine.arrays["case_scores"][4] = -1
    query = [engine.row("i5"), engine.row("i6")]
    guarded, blended = engine.recommend(query, 20), plain.recommend(query, 20)
    assert [engine.item_id(r) for r in guarded.rows[:3]] == [
        plain.item_id(r) for r in blended.rows[:3]
    ]


def test_the_guard_tells_worse_from_unlucky(engine):
    """A ranker a point better must not be sent away by chance; one that is worse must go soon."""
    rng = np.random.default_rng(3)
    engine._ctr[STEPS] = online.SERVE_FROM_STEP
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
            online._note_score(state, int(places[at]), int(places[other]))
            served += online.ranker_serves(state)
        return served

    serves(1_000, 0.02)
    assert serves(20_000, 0.02) == 20_000
    serves(2_000, -0.1)
    assert serves(100, -0.1) == 0


def test_vectors_of_items_seen_together_come_together(engine):
    """The product of session and next item must be larger than with any other item, mostly."""
    walk(engine, 1_500)
    a = engine.arrays
    h = np.zeros(128, np.float32)
    hits = 0
    for i in range(100):
        rows = np.array([engine.row(f"i{i}")], np.int32)
        vectors.session_vector(engine.arrays["vectors_in"], rows, 0, 1, h)
        scores = a["vectors_out"][1:101] @ h[:64]
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
    for source in (SEQ, COV, NEXT, 7, 8, 9):
        assert scores[:, source].max() < 1e-6, source
    other = engine.open_session()
    for item in ("c", "d"):
        engine.learn(other, item)
    rows, scores = engine.candidates(engine.session_rows(own), own)
    found = {engine.item_id(r): s for r, s in zip(rows.tolist(), scores, strict=True)}
    assert found["d"][SEQ] > 0
    assert found["d"][NEXT] > 0
    assert found["a"][SEQ] < 1e-6
    _, open_scores = engine.candidates(engine.session_rows(own))
    assert open_scores[:, SEQ].sum() > scores[:, SEQ].sum()


def test_the_same_clicks_and_seed_give_the_same_bytes():
    """A learner that was killed and one that was not must agree to the bit."""
    twins = [Engine(LIMITS, seed=3, sample=2) for _ in range(2)]
    for twin in twins:
        walk(twin, 700)
    for name in ("ranker", "vectors_in", "vectors_out", "squares", "weights", "mean", "old_cases"):
        assert twins[0].arrays[name].tobytes() == twins[1].arrays[name].tobytes(), name
    other = Engine(LIMITS, seed=4, sample=2)
    walk(other, 700)
    assert other.arrays["ranker"].tobytes() != twins[0].arrays["ranker"].tobytes()


def test_a_snapshot_goes_on_learning_as_if_nothing_had_been(tmp_path):
    """A restart in mid-stream must not change what is learned after it."""
    straight = Engine(LIMITS, sample=1)
    walk(straight, 600)
    straight.snapshot(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    for twin in (straight, restored):
        walk(twin, 200, seed=9)
    for name in ("ranker", "vectors_in", "weights", "old_targets", "recent_clicks", "case_scores"):
        assert straight.arrays[name].tobytes() == restored.arrays[name].tobytes(), name


def test_diversity_and_popularity_equal_a_count_by_hand(engine):
    """They are shown to shop keepers, who compare weeks with one another."""
    walk(engine, 300)
    rows = engine.recommend([engine.row("i5")], 12).rows
    vectors = engine.arrays["vectors_out"][rows]
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
    model, other = engine.shadow(10, engine.asked)
    assert (engine.ranking, model) == ("ranker", "blend")
    engine.arrays["case_scores"][4] = -1  # now the blend answers
    blended = engine.recommend(query, 10)
    assert np.array_equal(blended.rows, other.rows)
    model, back = engine.shadow(10, engine.asked)
    assert model == "ranker"
    assert np.array_equal(back.rows, shown.rows)
    asked = engine.asked
    engine.recommend(query, 10)
    assert engine.shadow(10, asked) is None  # another answer has overwritten it
    empty = Engine(LIMITS)
    assert empty.shadow(10, empty.asked) is None
