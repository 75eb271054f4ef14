"""Metrics of rankings from the ranks of their targets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models import metrics


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
