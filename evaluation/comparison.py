"""All rankings on the same sessions, each from counts that are learned once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from evaluation.datasets import Session
from evaluation.prequential import Ask, learn_all, score_all, summary
from evaluation.progress import Progress, silent
from evaluation.rankings import MODELS, NEEDS_CATALOGUE, baseline, make_engine
from online_models.engine import Engine
from online_models.ranking.blend import FITTED, SINGLE_SOURCE_WEIGHTS

K = 20

Figures = dict[str, Any]
"""What `prequential.summary` returns."""


def compare_rankings(
    name: str,
    train: Sequence[Session],
    test: Sequence[Session],
    seeds: int,
    progress: Progress = silent,
) -> dict[str, Figures]:
    """Return the figures of all rankings that need no catalogue.

    All are static (frozen after the training sessions); ``prequential`` is the ranker again, which
    learns each test click once it was scored. Figures of the ranker are medians over seeds.
    Nothing in the others is random: they read the same counts with other weights.

    Parameters
    ----------
    name
        Of the data, for `progress`.
    train, test
        Sessions to learn from, and to predict.
    seeds
        Runs of the ranker.
    progress
        Told how far it is.
    """
    figures: dict[str, Figures] = {}
    counts = make_engine("blend", 0)
    learn_us = learn_all(counts, train, progress, f"{name}: counts")
    for ranking in (r for r in MODELS if r not in ("ranker", NEEDS_CATALOGUE)):
        weights = SINGLE_SOURCE_WEIGHTS.get(ranking, FITTED)
        counts.arrays["blend_weights"][: len(weights)] = weights
        ask = baseline(ranking, counts)
        figures[ranking] = _score(counts, test, learn_us, ranking, progress, ask=ask)
    static, prequential = [], []
    for seed in range(seeds):
        engine = make_engine("ranker", seed)
        learn_us = learn_all(engine, train, progress, f"{name}: ranker, seed {seed}")
        static.append(_score(engine, test, learn_us, "ranker", progress))
        prequential.append(_score(engine, test, learn_us, "prequential", progress, learn=True))
    return {**figures, "ranker": median_of(static), "prequential": median_of(prequential)}


def _score(
    engine: Engine,
    test: Sequence[Session],
    learn_us: list[float],
    task: str,
    progress: Progress,
    *,
    ask: Ask | None = None,
    learn: bool = False,
) -> Figures:
    started = time.perf_counter()
    cases, more_us = score_all(
        engine, test, learn=learn, min_prefix=1, k=K, ask=ask, progress=progress, task=task
    )
    seconds = time.perf_counter() - started
    return summary(cases, K, len(engine.rows), seconds, learn_us + more_us)


def median_of(results: Sequence[Figures]) -> Figures:
    """Return the median of each figure over several runs."""

    def median(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {key: median([v[key] for v in values]) for key in values[0]}
        if isinstance(values[0], list):
            return [median(list(column)) for column in zip(*values, strict=True)]
        return statistics.median(values)

    return {key: median([result[key] for result in results]) for key in results[0]}
