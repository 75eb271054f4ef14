"""Evaluation: it never sees the future, and its figures follow from its ranks."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.evaluate import RANKINGS
from cli.main import app
from evaluation.datasets import Session
from evaluation.prequential import learn_all, score_all, summary
from nextclick import Item, encode_item
from online_models import metrics
from online_models.engine import Engine
from online_models.memory.layout import Limits

SMALL = Limits(max_items=256, max_sessions=64, pairs=64)


class Spy(Engine):
    """Records the order of calls."""

    def __init__(self):
        super().__init__(SMALL)
        self.calls = []

    def learn(self, session, item_id, place=None, at_s=0):
        self.calls.append(("learn", session, item_id))
        super().learn(session, item_id, place, at_s)

    def recommend(self, items, k, own=-1, flt=None, times_s=(0, 0)):
        self.calls.append(("ask", own, [self.item_id(r) for r in items]))
        return super().recommend(items, k, own, flt, times_s)


def sessions():
    return [
        Session("s1", ("a", "b", "c"), (10, 20, 30)),
        Session("s2", ("a", "b"), (15, 25)),
    ]


def score(engine, learn, **kwargs):
    settings = {"min_prefix": 1, "k": 5, "tick": lambda *_: None, **kwargs}
    return score_all(engine, sessions(), learn=learn, **settings)


def test_each_case_is_scored_before_its_click_is_learned():
    """A target that is learned before it is asked for would be found by memory."""
    engine = Spy()
    learn_all(engine, [Session("t", ("a", "b", "c"))], lambda *_: None)
    start = engine.next_session
    engine.calls.clear()
    score(engine, learn=True)
    asked = [call for call in engine.calls if call[0] == "learn" or call[1] >= 0]
    first, second = start, start + 1
    expected = [
        ("learn", first, "a"),
        ("learn", second, "a"),
        ("ask", first, ["a"]),
        ("learn", first, "b"),
        ("ask", second, ["a"]),
        ("learn", second, "b"),
        ("ask", first, ["a", "b"]),
        ("learn", first, "c"),
    ]
    once = [c for i, c in enumerate(asked) if i == 0 or c != asked[i - 1]]
    assert once == expected


def test_static_evaluation_learns_nothing():
    """Frozen figures are compared with published ones: the models must not move."""
    engine = Spy()
    learn_all(engine, [Session("t", ("a", "b", "c"))], lambda *_: None)
    clicks = engine.clicks
    engine.calls.clear()
    cases, times = score(engine, learn=False)
    assert engine.clicks == clicks
    assert times == []
    assert not [call for call in engine.calls if call[0] == "learn"]
    assert len(cases.ranks) == 3


def test_min_prefix_leaves_out_the_first_cases():
    """Some protocols begin with the third click."""
    cases, _ = score(Engine(SMALL), learn=False, min_prefix=2)
    assert (cases.session_ids, cases.positions) == (["s1"], [3])


def test_a_target_that_the_models_do_not_know_is_a_miss():
    """An unknown item must not be found in row 0."""
    engine = Engine(SMALL)
    learn_all(engine, [Session("t", ("a", "x"))], lambda *_: None)
    cases, _ = score(engine, learn=False)
    assert cases.ranks == [0, 0, 0]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 25))
def test_metrics_agree_with_their_definitions(ranks, k):
    """Hit rate, MRR and NDCG from ranks, recounted one by one."""
    hits = [r for r in ranks if 1 <= r <= k]
    assert metrics.hit_rate(ranks, k) == pytest.approx(len(hits) / len(ranks))
    assert metrics.mrr(ranks, k) == pytest.approx(sum(1 / r for r in hits) / len(ranks))
    gain = sum(1 / np.log2(1 + r) for r in hits)
    assert metrics.ndcg(ranks, k) == pytest.approx(gain / len(ranks))


def test_metrics_of_nothing_are_zero():
    """An empty file must not divide by zero."""
    assert metrics.hit_rate([], 5) == metrics.mrr([], 5) == metrics.ndcg([], 5) == 0
    assert metrics.spread([]) == {"mean": 0.0, "p50": 0.0, "p99": 0.0}


def test_new_targets_are_counted_apart():
    """Finding again what the visitor has seen is easy: the share of new ones is said."""
    engine = Engine(SMALL)
    learn_all(engine, [Session("t", ("a", "b", "a", "b"))], lambda *_: None)
    cases, _ = score_all(
        engine,
        [Session("s", ("a", "b", "a"))],
        learn=False,
        min_prefix=1,
        k=5,
        tick=lambda *_: None,
    )
    result = summary(cases, 5, 2, 1.0, [])
    assert cases.repeated == [False, True]
    assert (result["cases"], result["repeat_share"]) == (2, 0.5)
    assert result["hit_rate_new"] == result["hit_rate"] == 1.0
    assert result["coverage"] == 1.0


@pytest.mark.parametrize("protocol", ["static", "prequential"])
def test_the_command_prints_one_object_and_writes_its_ranks(tmp_path, protocol):
    """Machines read the JSON; others recompute the figures from the ranks."""
    train, test, ranks = tmp_path / "train", tmp_path / "test", tmp_path / "ranks"
    rng = np.random.default_rng(0)
    lines = [
        f"{s}," + " ".join(str((s * 3 + step) % 40) for step in range(rng.integers(2, 6)))
        for s in range(120)
    ]
    train.write_text("session_id,items\n" + "\n".join(lines[:90]) + "\n")
    test.write_text("session_id,items\n" + "\n".join(lines[90:]) + "\n")
    args = ["evaluate", "--train", str(train), "--test", str(test), "--protocol", protocol]
    done = CliRunner().invoke(app, [*args, "--ranks", str(ranks), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    rows = [line.split("\t") for line in ranks.read_text().splitlines()]
    found = np.array([int(rank) for _, _, rank in rows])
    assert len(rows) == result["cases"] == sum(len(x.split()) - 1 for x in lines[90:])
    assert metrics.hit_rate(found, 20) == pytest.approx(result["hit_rate"])
    assert metrics.mrr(found, 20) == pytest.approx(result["mrr"])
    assert {int(p) for _, p, _ in rows} <= {2, 3, 4, 5}
    assert result["hit_rate"] > 0.5
    for key in ("hit_rate_new", "repeat_share", "ndcg", "coverage", "candidate_recall", "seconds"):
        assert result[key] >= 0
    assert set(result["learn_us"]) == set(result["recommend_us"]) == {"mean", "p50", "p99"}


def test_intervals_hold_what_is_drawn_again():
    """An interval says how far a figure would wander on other visitors of the same kind."""
    rng = np.random.default_rng(2)
    population = rng.integers(0, 30, 200_000)
    bounds = metrics.intervals(population[:2_000], 20)
    for name, (low, high) in bounds.items():
        figure = getattr(metrics, name)
        assert low < figure(population[:2_000], 20) < high
        inside = [
            low - 0.02 < figure(population[i : i + 2_000], 20) < high + 0.02
            for i in range(0, 100_000, 2_000)
        ]
        assert np.mean(inside) > 0.9
    assert metrics.intervals([], 20)["mrr"] == [0.0, 0.0]


def test_compare_puts_all_rankings_into_one_table_and_a_chart(tmp_path):
    """What the models add is seen beside what simple lists do."""
    train, items, chart = tmp_path / "train", tmp_path / "items", tmp_path / "chart.svg"
    lines = [f"{s}," + " ".join(f"i{(s * 3 + step) % 80}" for step in range(4)) for s in range(200)]
    train.write_text("session_id,items\n" + "\n".join(lines) + "\n")
    catalogue = [Item(f"i{n}", categories=(f"c{n % 4}",)) for n in range(80)]
    items.write_bytes(b"".join(encode_item(item) + b"\n" for item in catalogue))
    args = ["evaluate", "--train", str(train), "--items", str(items), "--compare"]
    done = CliRunner().invoke(app, [*args, "--chart", str(chart), "--json"])
    assert done.exit_code == 0, done.output
    models = json.loads(done.stdout)["models"]
    assert set(models) == set(RANKINGS)
    for result in models.values():
        for name in ("hit_rate", "mrr", "ndcg"):
            low, high = result[f"{name}_95"]
            assert low - 1e-9 <= result[name] <= high + 1e-9
    assert models["blend"]["hit_rate"] > models["popularity"]["hit_rate"]
    text = chart.read_text()
    assert text.startswith("<?xml")
    done = CliRunner().invoke(app, args)
    assert all(name in done.output for name in ("own-items", "covisit"))
