"""The rankings that can be evaluated: the models, and baselines to compare them with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.baselines import VectorRanking, content_vectors, covisit_vectors
from evaluation.datasets import Session
from evaluation.errors import UnknownRankingError
from evaluation.prequential import Ask, Cases, learn_all, score_all, summary
from evaluation.progress import Progress, silent
from nextclick.codec import Item
from online_models.engine import Engine, Ranked
from online_models.engine.warm_up import warm_up
from online_models.memory.layout import Limits
from online_models.ranking.blend import FITTED, SINGLE_SOURCE_WEIGHTS

MODELS = (
    "popularity",
    "own-items",
    "item-knn",
    "rules",
    "covisit-vectors",
    "content-vectors",
    "session-knn",
    "blend",
    "ranker",
)
"""What can be evaluated, by name."""

NEEDS_CATALOGUE = "content-vectors"


@dataclass(frozen=True)
class Settings:
    """How test clicks are scored.

    Attributes
    ----------
    learn
        Whether each click is learned after it was scored (prequential) or not (static).
    min_prefix
        Clicks of a session before its first case.
    k
        Length of the lists.
    seed
        Of whatever is random.
    catalogue
        Items that are known from the start.
    """

    learn: bool
    min_prefix: int
    k: int
    seed: int
    catalogue: Sequence[Item] = ()


def check_ranking(name: str) -> None:
    """Raise `UnknownRankingError` for a name that is not in `MODELS`."""
    if name not in MODELS:
        raise UnknownRankingError(
            f"there is no ranking {name!r}; choose one of {', '.join(MODELS)}"
        )


def evaluate_ranking(
    name: str,
    train: Sequence[Session],
    test: Sequence[Session],
    settings: Settings,
    progress: Progress = silent,
) -> tuple[dict[str, Any], Cases]:
    """Learn the training sessions and predict the test sessions with one ranking.

    Parameters
    ----------
    name
        One of `MODELS`.
    train, test
        Sessions to learn from, and to predict.
    settings
        How they are scored.
    progress
        Told how far it is.

    Returns
    -------
    tuple[dict[str, Any], Cases]
        The figures of `prequential.summary` with the name as ``model``, and the cases.

    Raises
    ------
    UnknownRankingError
        For another name.
    """
    check_ranking(name)
    started = time.perf_counter()
    warm_up()
    engine = make_engine(name, settings.seed)
    put_items(engine, settings.catalogue)
    learn_us = learn_all(engine, train, progress, f"{name} learns")
    cases, more_us = score_all(
        engine,
        test,
        learn=settings.learn,
        min_prefix=settings.min_prefix,
        k=settings.k,
        ask=baseline(name, engine),
        progress=progress,
        task=f"{name} predicts",
    )
    seconds = time.perf_counter() - started
    figures = summary(cases, settings.k, len(engine.rows), seconds, learn_us + more_us)
    return {"model": name, **figures}, cases


def make_engine(ranking: str, seed: int) -> Engine:
    """Return the models of a ranking, which have learned nothing yet."""
    if ranking == "ranker":
        return Engine(Limits(), seed)
    return Engine(Limits(), seed, weights=SINGLE_SOURCE_WEIGHTS.get(ranking, FITTED), sample=0)


def put_items(engine: Engine, items: Sequence[Item]) -> None:
    """Give the models a catalogue."""
    for item in items:
        engine.put_item(item.item_id, item.available, item.categories, item.attributes, item.title)


def baseline(ranking: str, engine: Engine) -> Ask | None:
    """Return how a baseline answers; None for rankings that the models answer themselves."""
    if ranking == "covisit-vectors":
        return VectorRanking(covisit_vectors(engine))
    if ranking == "content-vectors":
        return VectorRanking(content_vectors(engine))
    if ranking == "popularity":
        return lambda rows, k, number, times_s: engine.recommend([], k)
    if ranking == "own-items":
        return own_items
    return None


def own_items(rows: list[int], k: int, number: int, times_s: tuple[int, int]) -> Ranked:
    """Rank the session's own items, the latest first."""
    latest = [row for row in dict.fromkeys(reversed(rows)) if row][:k]
    return Ranked(np.array(latest, np.int32), -np.arange(len(latest), dtype=np.float32))
