"""The user's past in answers: features, share of the candidates, first pages, neutrality."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick.limits import PAST_ITEMS
from online_models.engine import Engine, Filter, Past
from online_models.learners.click import LEARN_FROM_CLICK
from online_models.memory.layout import Limits
from online_models.ranking import network, past_share
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features import registry
from online_models.ranking.features.past import FEATURES
from online_models.ranking.features.registry import N_COMMON, N_INPUTS
from online_models.sources.past import BOUGHT, FADE, FOLLOWED, IDLE_S, LIKED, READ
from online_models.sources.rules import PRIOR, RULE_SLABS
from online_models.vectors.two_towers import DECAY

SMALL = Limits(max_items=64, max_sessions=64, pairs=64)
LARGE = Limits(max_items=1_024, max_sessions=4_096, pairs=1_024)
DAY_S = 86_400
NOW_S = 1_700_000_000
NAMES = [feature.name for feature in FEATURES]


def past_of(engine, items, times_s=None, flags=None, repeats=0.0):
    """A past of items, oldest first, an hour apart."""
    n = len(items)
    times_s = [NOW_S - 3_600 * (n - i) for i in range(n)] if times_s is None else times_s
    return Past(
        np.array([engine.row(item) for item in items], np.int32),
        np.array(times_s, np.int64),
        np.array([0] * n if flags is None else flags, np.uint8),
        repeats,
    )


def ask(engine, items, past, **kwargs):
    """Answer, and return the answer with the features of each candidate by item."""
    ranked = engine.recommend([engine.row(item) for item in items], 20, past=past, **kwargs)
    engine.arrays["found"]["has_features"] = 0
    registry.set_features(engine._state)
    a = engine.arrays
    places = a["candidates"][: int(a["found"]["candidates"][0])]
    features = a["features"][N_COMMON : N_COMMON + len(NAMES), : len(places)]
    by_item = {
        engine.item_id(row): dict(zip(NAMES, features[:, i].tolist(), strict=True))
        for i, row in enumerate(a["pool"][places].tolist())
    }
    return ranked, by_item


def links(engine, row):
    """The best rules of an item, as its list has them: (row, seq, cov)."""
    it = engine.arrays["items"][row]
    entries = engine.arrays["rules"][it["rules"] :][: RULE_SLABS[it["rules_slab"]]][:READ]
    return [(int(e["item"]), float(e["seq"]), float(e["cov"])) for e in entries if e["item"]]


def expected(engine, query, past, item, last_s):
    """What the declarations of the features say, recounted for one item."""
    row, a = engine.row(item), engine.arrays
    rows, n = past.rows.tolist(), len(past.rows)
    visits = [0] * n  # sessions after it
    for i in range(n - 2, -1, -1):
        visits[i] = visits[i + 1] + (past.times_s[i + 1] - past.times_s[i] > IDLE_S)
    places = [i - visits.index(visits[i]) for i in range(n)]
    session = [engine.row(other) for other in query]
    x = dict.fromkeys(NAMES, 0.0)
    x["past_size"] = math.log(1 + n)
    x["past_first"] = float(not query)
    for ago, followed in enumerate(reversed(rows[-FOLLOWED:])):
        it = a["items"][followed]
        for other, seq, cov in [] if followed in session else links(engine, followed):
            if other == row:
                w = float(FADE) ** ago
                x["past_seq"] += w * seq / (it["seq_sum"] + PRIOR)
                x["past_cov"] += w * cov * it["damp"] * a["items"][row]["damp"]
    shares = {}
    for other in rows:
        for category in a["categories"][other].tolist():
            if category:
                shares[category] = shares.get(category, 0) + 1 / n
    of_item = [c for c in a["categories"][row].tolist() if c]
    x["past_categories"] = max([shares.get(c, 0) for c in of_item], default=0)
    if row not in rows:
        return x
    i = rows.index(row)
    now = last_s if query and last_s else past.times_s[-1]
    x |= {
        "past_seen": 1,
        "past_bought": float(bool(past.flags[i] & BOUGHT)),
        "past_liked": float(bool(past.flags[i] & LIKED)),
        "past_log_days": math.log(1 + max(now - past.times_s[i], 0) / DAY_S),
        "past_recency": 1 / (n - i),
        "past_visit": 1 / (1 + visits[i]),
        "past_opened": float(places[i] == 0),
        "past_in_visit": 1 / (1 + places[i]),
        "past_repeats": past.repeats,
        "past_again": float(np.mean([r in rows for r in session or rows])),
    }
    if session and session[-1] in rows:
        j = rows.index(session[-1])
        if i > j and visits[i] == visits[j]:
            x["past_next"] = 1 / (i - j)
    return x


STREAM = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 11)), min_size=1, max_size=60)
STEPS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(1, 2 * IDLE_S), st.integers(0, 3)),
    min_size=1,
    max_size=12,
    unique_by=lambda step: step[0],
)


@settings(max_examples=60, deadline=None)
@given(STREAM, STEPS, st.lists(st.integers(0, 11), max_size=4), st.booleans())
def test_features_are_what_they_say(stream, steps, query, timed):
    """A shifted place in the past would teach the ranker to repeat the wrong items."""
    engine, numbers = Engine(SMALL, sample=0), {}
    for i in range(12):
        engine.put_item(f"i{i}", categories=[f"c{i % 3}", f"d{i % 4}"][: i % 3])
    for session, item in stream:
        if session not in numbers:
            numbers[session] = engine.open_session()
        engine.learn(numbers[session], f"i{item}")
    times_s = np.cumsum([NOW_S - 100_000, *(gap for _, gap, _ in steps[1:])])
    past = past_of(
        engine, [f"i{item}" for item, _, _ in steps], times_s, [f for *_, f in steps], 0.25
    )
    items = [f"i{item}" for item in query]
    last_s = NOW_S if timed else 0
    _, found = ask(engine, items, past, times_s=(0, last_s))
    assert found
    for item, x in found.items():
        vector = x.pop("past_vector")
        assert vector == 0, "no vector has been learned"
        wanted = expected(engine, items, past, item, last_s)
        wanted.pop("past_vector")
        assert x == pytest.approx(wanted, rel=1e-4, abs=1e-5), item


def test_the_vector_of_the_past_is_compared_with_the_candidates():
    """Taste that neither items nor categories show lies in the vectors."""
    engine = Engine(SMALL, sample=0)
    rng = np.random.default_rng(0)
    number = engine.open_session()
    for i in range(6):
        engine.learn(number, f"i{i}")
        engine.put_vectors(f"i{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    past = past_of(engine, ["i1", "i4"])
    _, found = ask(engine, ["i0"], past)
    context, target = engine.arrays["context_vectors"], engine.arrays["target_vectors"]
    first, second = context[past.rows]
    for item, x in found.items():
        products = [float(v @ target[engine.row(item)]) for v in (first, second)]
        mean = (DECAY * products[0] + products[1]) / (1 + DECAY)
        assert x["past_vector"] == pytest.approx(mean, rel=1e-4, abs=1e-4), item


@pytest.fixture(scope="module")
def shop():
    """Models that know 600 items, of which each is followed by the next ones."""
    engine = Engine(LARGE, sample=0)
    rng = np.random.default_rng(0)
    for _ in range(1_500):
        number, at = engine.open_session(), int(rng.integers(600))
        for _ in range(8):
            engine.learn(number, f"i{at % 600}")
            at += int(rng.integers(1, 9))
    return engine


def candidates_of(engine):
    a = engine.arrays
    places = a["candidates"][: int(a["found"]["candidates"][0])]
    scores = a["pool_score"][places].tolist()
    return [engine.item_id(row) for row in a["pool"][places].tolist()], scores


@pytest.mark.parametrize("size", [20, 200])
@pytest.mark.parametrize("distance", [0, 3, 50, 300])
def test_the_past_has_its_share_and_pushes_no_more_aside(shop, size, distance):
    """Naive mixing put the past in the place of what the session leads to: it cost 6 points."""
    session = [shop.row("i100"), shop.row("i103")]
    without = shop.recommend(session, size)
    plain, _ = candidates_of(shop)
    past = past_of(shop, [f"i{100 + distance + 5 * i}" for i in range(20)])
    ranked = shop.recommend(session, size, past=past)
    found, scores = candidates_of(shop)
    share = past_share.ITEMS + past_share.LINKS
    assert len(found) == len(set(found)) == CANDIDATES
    assert found[: CANDIDATES - share] == plain[: CANDIDATES - share]
    assert scores == sorted(scores, reverse=True), "the blend's order"
    own = {shop.item_id(row) for row in past.rows}
    assert len(own & set(found)) >= past_share.ITEMS
    assert len(set(found) - set(plain)) <= share
    rows = ranked.rows.tolist()
    assert len(rows) == len(set(rows)) == size
    assert not ranked.from_past
    if distance == 300:
        assert own & set(found)
        assert not own & set(plain)
    again = shop.recommend(session, size)
    assert again.rows.tolist() == without.rows.tolist()
    assert again.scores.tolist() == without.scores.tolist()


def test_what_a_request_excludes_is_no_candidate_from_the_past(shop):
    """Hidden and bought items are in the past above all."""
    past = past_of(shop, [f"i{400 + i}" for i in range(10)])
    hidden = tuple(past.rows[:5].tolist())
    for items in ([shop.row("i100")], []):
        answer = shop.recommend(items, 500, flt=Filter(excluded_rows=hidden), past=past)
        assert not set(hidden) & set(answer.rows.tolist())
        assert {shop.item_id(row) for row in past.rows[5:]} <= set(candidates_of(shop)[0])


def test_a_first_page_is_that_of_the_past(shop):
    """A visitor who comes back is no stranger."""
    past = past_of(shop, ["i10", "i300", "i301"])
    page = shop.recommend([], 20, past=past)
    assert page.from_past
    assert page.n_ranked == 20
    named = {shop.item_id(row) for row in page.rows}
    assert named & {f"i{n}" for n in range(302, 312)}
    popular = shop.recommend([], 20)
    assert not popular.from_past
    assert popular.n_ranked == 0
    assert page.rows.tolist() != popular.rows.tolist()


def test_a_past_without_known_items_is_none(shop):
    """Items leave the shop; a user of whom nothing is left is a new one."""
    popular = shop.recommend([], 20)
    nobody = Past(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    for past in (nobody, past_of(shop, ["gone", "gone too"])):
        page = shop.recommend([], 20, past=past)
        assert not page.from_past
        assert page.rows.tolist() == popular.rows.tolist()
    session = [shop.row("i7")]
    assert shop.recommend(session, 20, past=nobody).rows.tolist() == (
        shop.recommend(session, 20).rows.tolist()
    )


def test_only_the_last_items_with_a_row_are_read(shop):
    """More than the tables hold must not be written, and row 0 is no item."""
    items = [f"i{i}" for i in range(80)]
    long = past_of(shop, items)
    some = Past(np.where(np.arange(80) % 2, long.rows, 0).astype(np.int32), *long[1:])
    for past, wanted in ((long, items[-PAST_ITEMS:]), (some, items[31::2])):
        shop.recommend([shop.row("i500")], 20, past=past)
        n = int(shop.arrays["request"]["n_past"][0])
        assert [shop.item_id(row) for row in shop.arrays["past"][:n]] == wanted
        assert shop.arrays["past_at"][:n].tolist() == [
            int(long.times_s[items.index(item)]) for item in wanted
        ]


def test_what_is_not_before_the_session_is_no_past(shop):
    """An item of the session itself, or of a later one, would be the answer told beforehand."""
    past = past_of(shop, ["i1", "i2", "i3"], [100, 200, 300], [1, 2, 3], 0.5)
    assert past.before(301) is past
    for began_s, n in ((300, 2), (201, 2), (200, 1), (100, 0), (0, 0)):
        cut = past.before(began_s)
        assert [part.tolist() for part in cut[:3]] == [part[:n].tolist() for part in past[:3]]
        assert cut.repeats == 0.5


def test_an_explanation_of_a_first_page_names_items_of_the_past(shop):
    """Whoever asks why gets an answer for a page that has no session."""
    past = past_of(shop, ["i10", "i300"])
    page = shop.recommend([], 5, past=past)
    reasons = shop.explain([], page.rows, past=past)
    assert all(reasons)
    named = {row for why in reasons for _, _, rows in why for row in rows}
    assert named
    assert named <= set(past.rows.tolist())


def test_rank_scores_with_the_past(shop):
    """A list of the shop's own may be ordered on the first page."""
    past = past_of(shop, ["i10", "i300"])
    scores = shop.rank([], [shop.row("i301"), shop.row("i500")], past=past)
    assert scores[0] > scores[1]
    assert shop.rank([], [shop.row("i301")])[0] < scores[0]


# ---- learning


@pytest.fixture
def learning():
    engine = Engine(SMALL, sample=1)
    for _ in range(20):
        number = engine.open_session()
        for item in "abcd":
            engine.learn(number, item)
    engine.arrays["counters"]["clock"] = LEARN_FROM_CLICK
    return engine


def cases(engine):
    return [int(engine.arrays["counters"][name][0]) for name in ("cases_scored", "optional_cases")]


def test_only_cases_with_a_past_teach_what_it_is_worth(learning):
    """Its features would be normalised by sessions that have none."""
    scored, optional = cases(learning)
    assert optional == 0
    number = learning.open_session()
    past = past_of(learning, ["a", "c"])
    blend = learning.arrays["blend_weights"].copy()
    learning.learn(number, "b", past=past)  # a first page: scores and blend are of sessions
    assert cases(learning) == [scored, 1]
    assert (learning.arrays["blend_weights"] == blend).all()
    learning.learn(number, "c", past=past)
    assert cases(learning) == [scored + 1, 2]
    learning.learn(number, "d")
    assert cases(learning) == [scored + 2, 2]
    learning.learn(learning.open_session(), "a")  # the first click of somebody unknown
    learning.learn(learning.open_session(), "new", past=past)  # to what no past leads
    assert cases(learning) == [scored + 2, 2]


def test_the_ranker_learns_that_a_user_repeats(learning):
    """What a past is worth is learned: here, sessions begin where the last one did."""
    rng = np.random.default_rng(0)
    for _ in range(1_200):
        item = "abcd"[rng.integers(4)]
        other = "abcd"[rng.integers(4)]
        if item == other:
            continue
        past = past_of(learning, [item, other], [NOW_S, NOW_S + 60])
        learning.learn(learning.open_session(), item, past=past)
    for item, other in ("ab", "ca", "db"):
        page = learning.recommend([], 1, past=past_of(learning, [item, other], [NOW_S, NOW_S + 60]))
        assert learning.item_id(page.rows[0]) == item


def test_without_optional_features_the_network_is_the_one_without_them(learning):
    """Who has no users must get the same answers, whatever has been learned of users elsewhere."""
    rng = np.random.default_rng(1)
    a = learning.arrays
    x = np.zeros((N_INPUTS, CANDIDATES), np.float32)
    x[:N_COMMON, :30] = rng.normal(size=(N_COMMON, 30))

    def scores():
        network.forward(learning._state, x, 30, a["network"][network.WEIGHTS])
        return a["ranking_score"][:30].copy()

    before = scores()
    a["network"][:, network.N_BASE :] = rng.normal(size=network.N_NETWORK - network.N_BASE)
    a["feature_mean"][N_COMMON:] = 3
    assert (scores() == before).all()
    x[N_COMMON + 2, 5] = 1
    assert (scores() != before).any()


def test_weights_of_optional_features_begin_neutral():
    """A shop that begins to know its users goes on with the ranker that it has."""
    engine = Engine(SMALL)
    assert not engine.arrays["network"][:, network.N_BASE :].any()
