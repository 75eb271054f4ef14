"""Permutation importance: how much worse the ranker orders when a feature says nothing.

The models learn once and are frozen. Of each case the candidates' features are kept; then one
feature, or a group of them, is permuted: among the candidates of the case, or, where all candidates
share its value, among the cases. Nothing learns again, and the candidates stay: what the ranker
reads of a source is measured, not what the source finds (`nextclick bench frontier` without
``--importance`` leaves it out altogether). Breiman, Random Forests, 2001; Fisher, Rudin and
Dominici, JMLR 2019. Features that say the same share their importance: permute their group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Session
from evaluation.prequential import second
from evaluation.progress import Progress, silent
from nextclick.limits import SESSION_STEPS
from online_models.engine import Engine
from online_models.ranking.features.blend_terms import SCORES
from online_models.ranking.features.feature import Entity
from online_models.ranking.features.registry import FEATURES
from online_models.sources.registry import SOURCES

K = 20
MOST_CASES = 5_000
"""Cases whose features are kept: 80 MB with 64 features; of more, a sample."""

ROUNDS = 1_000
"""Samples of the bootstrap."""


class Group(NamedTuple):
    """Features that are permuted together; ``kind`` is source, family or feature."""

    name: str
    kind: str
    places: tuple[int, ...]


def groups() -> list[Group]:
    """Return what can be permuted: sources, with all that comes of their columns, and features."""
    found = []
    for source in SOURCES:
        columns = {column.name for column in source.columns}
        places = tuple(k for k, feature in enumerate(FEATURES) if feature.column in columns)
        if places:
            found.append(Group(source.name, "source", places))
    for part in dict.fromkeys(f.part for f in FEATURES if f.part != SCORES):
        places = tuple(k for k, feature in enumerate(FEATURES) if feature.part == part)
        found.append(Group(part, "family", places))
    return found + [Group(f.name, "feature", (k,)) for k, f in enumerate(FEATURES)]


class Sample(NamedTuple):
    """A case: its session, its candidates' features, and the place of the next item, -1: absent."""

    session: int
    features: NDArray[np.float32]
    target: int


def samples_of(
    engine: Engine, sessions: Sequence[Session], seed: int, most: int = MOST_CASES
) -> list[Sample]:
    """Return cases of sessions, none of which is learned; a random ``most`` of them, in order."""
    every = [(s, p) for s, session in enumerate(sessions) for p in range(1, len(session.items))]
    if len(every) > most:
        kept = np.random.default_rng(seed).choice(len(every), most, replace=False)
        every = [every[i] for i in np.sort(kept)]
    return [_sample(engine, sessions[s], s, p) for s, p in every]


def _sample(engine: Engine, session: Session, number: int, p: int) -> Sample:
    rows = engine.rows_of(session.items[max(0, p - SESSION_STEPS) : p])
    times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1))
    found = engine.candidate_features(rows, times_s=times_s)
    row, candidates = engine.row(session.items[p]), found.rows.tolist()
    ranked = rows[-1] and row and row in candidates  # after an unknown item, the blend orders
    target = candidates.index(row) if ranked else -1
    return Sample(number, found.features.copy(), target)


def ranks_of(
    engine: Engine, samples: Sequence[Sample], changed: Iterator[NDArray[np.float32]] | None = None
) -> NDArray[np.int64]:
    """Return the place of each target in the ranker's order, from 1; 0 where it is absent.

    ``changed`` gives other features for the samples with a target, in their order.
    """
    ranks = np.zeros(len(samples), np.int64)
    for i, sample in enumerate(samples):
        if sample.target >= 0:
            features = sample.features if changed is None else next(changed)
            scores = engine.ranker_scores(features)
            own = scores[sample.target]
            before = (scores > own).sum() + (scores[: sample.target] == own).sum()
            ranks[i] = 1 + before
    return ranks


def permuted(
    samples: Sequence[Sample], places: Sequence[int], rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Yield the features of the samples with a target, with some rows of them permuted.

    Rows that differ among candidates are permuted within the case, all alike; rows that are the
    same for all candidates come from another case.
    """
    of_session = [k for k in places if FEATURES[k].entity is Entity.SESSION]
    of_candidate = [k for k in places if FEATURES[k].entity is not Entity.SESSION]
    full = [sample for sample in samples if sample.target >= 0]
    others = rng.permutation(len(full))
    for sample, other in zip(full, others, strict=True):
        x = sample.features.copy()
        if of_candidate:
            order = rng.permutation(x.shape[1])
            x[of_candidate] = x[of_candidate][:, order]
        if of_session:
            x[of_session] = full[other].features[of_session, :1]
        yield x


@dataclass(frozen=True)
class Importance:
    """Points of hit rate and MRR that are lost, with their 95 % bootstrap intervals."""

    group: Group
    hit_rate: float
    hit_rate_95: tuple[float, float]
    mrr: float
    mrr_95: tuple[float, float]


def importance(
    engine: Engine,
    samples: Sequence[Sample],
    wanted: Sequence[Group],
    *,
    repeats: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Importance]:
    """Return the importance of groups of features.

    Parameters
    ----------
    engine
        Models that have learned, and whose ranker orders.
    samples
        Cases that they have not learned; see `samples_of`.
    wanted
        What is permuted; see `groups`.
    repeats
        Permutations of each, of which the mean counts.
    seed
        Of permutations and bootstrap.
    progress
        Told how far it is.
    """
    sessions = np.array([sample.session for sample in samples])
    base = ranks_of(engine, samples)
    found = []
    for done, group in enumerate(wanted):
        progress("importance", done, len(wanted), group.name)
        losses = np.zeros((2, len(samples)))
        for repeat in range(repeats):
            rng = np.random.default_rng((seed, repeat, *group.places))
            ranks = ranks_of(engine, samples, permuted(samples, group.places, rng))
            losses += _gains(base) - _gains(ranks)
        hits, gains = 100 * losses / repeats
        found.append(
            Importance(
                group,
                float(hits.mean()),
                interval(hits, sessions, seed),
                float(gains.mean()),
                interval(gains, sessions, seed),
            )
        )
    progress("importance", len(wanted), len(wanted), "")
    return found


def interval(
    values: NDArray[np.float64], sessions: NDArray[np.int64], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean; whole sessions are drawn, with their cases."""
    _, place = np.unique(sessions, return_inverse=True)
    sums, sizes = np.bincount(place, values), np.bincount(place)
    rng = np.random.default_rng(seed)
    means = np.empty(ROUNDS)
    for i in range(ROUNDS):
        drawn = rng.integers(0, len(sums), len(sums))
        means[i] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _gains(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return hit and reciprocal rank of each case, (2, n), cut off at `K`."""
    hit = (ranks > 0) & (ranks <= K)
    return np.stack([hit.astype(float), np.where(hit, 1 / np.maximum(ranks, 1), 0.0)])
