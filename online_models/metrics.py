"""Ranking metrics of next-item prediction: one target a case, ranks from 1, 0 for a miss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST_ODDS = 10.0


def hit_rate(ranks: ArrayLike, k: int) -> float:
    """Share of cases with the target among the first ``k`` (recall@k, one target a case)."""
    r = np.asarray(ranks)
    return float(_hits(r, k).mean()) if len(r) else 0.0


def intervals(ranks: ArrayLike, k: int, rounds: int = 1_000) -> dict[str, list[float]]:
    """Bootstrap intervals of hit rate, MRR and NDCG: 2.5th and 97.5th percentile.

    Drawing cases with replacement draws the number of cases of each rank from a multinomial.
    """
    r = np.asarray(ranks)
    if not len(r):
        return {"hit_rate": [0.0, 0.0], "mrr": [0.0, 0.0], "ndcg": [0.0, 0.0]}
    shares = np.bincount(np.where(_hits(r, k), r, 0), minlength=k + 1) / len(r)
    draws = np.random.default_rng(0).multinomial(len(r), shares, rounds) / len(r)
    place = np.arange(1, k + 1)
    gains = {"hit_rate": np.ones(k), "mrr": 1 / place, "ndcg": 1 / np.log2(1 + place)}
    return {
        name: [float(x) for x in np.percentile(draws[:, 1:] @ gain, [2.5, 97.5])]
        for name, gain in gains.items()
    }


def mrr(ranks: ArrayLike, k: int) -> float:
    """Mean of 1 / rank, 0 beyond the first ``k``."""
    r = np.asarray(ranks)
    return float((_hits(r, k) / np.maximum(r, 1)).mean()) if len(r) else 0.0


def ndcg(ranks: ArrayLike, k: int) -> float:
    """Mean of 1 / log2(1 + rank), 0 beyond the first ``k``; the ideal is 1 with one target."""
    r = np.asarray(ranks)
    return float((_hits(r, k) / np.log2(1 + np.maximum(r, 1))).mean()) if len(r) else 0.0


def spread(values: ArrayLike) -> dict[str, float]:
    """Mean, median and 99th percentile."""
    v = np.asarray(values, dtype=float)
    if not len(v):
        return {"mean": 0.0, "p50": 0.0, "p99": 0.0}
    p50, p99 = np.percentile(v, [50, 99])
    return {"mean": float(v.mean()), "p50": float(p50), "p99": float(p99)}


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of each score's share in their softmax, (n,), clipped to +-`LARGEST_ODDS`."""
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    shares = np.clip(shares, 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(shares / (1 - shares)).clip(-LARGEST_ODDS, LARGEST_ODDS)
    return odds


def _hits(ranks: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    return (ranks >= 1) & (ranks <= k)
