"""Baselines: rankings by vectors that are not learned from a stream of clicks.

`covisit_vectors` come from co-visit counts alone: their positive pointwise mutual information,
factorised (Levy & Goldberg, "Neural word embedding as implicit matrix factorization", NIPS 2014).
`content_vectors` come from the catalogue alone: the sum of an item's tokens, the rarer the heavier.
Both read a session as the learned vectors do, rank all items exactly, and do not change while the
test sessions are predicted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.engine import Engine, Ranked
from online_models.sources.rules import RULE_SLABS
from online_models.vectors.two_towers import DECAY, DIMENSIONS, VECTOR_ITEMS

Vectors = NDArray[np.float32]


class VectorRanking:
    """Ranks all items by the product of their vectors with a session's.

    Parameters
    ----------
    vectors
        One for each row of the models, (rows, 64); items without a vector (all zero) are not
        ranked.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._unknown = ~vectors.any(axis=1)
        self._asked: tuple[int, ...] = ()
        self._scores = np.zeros(0, np.float32)

    def __call__(
        self, rows: list[int], k: int, number: int = -1, times_s: tuple[int, int] = (0, 0)
    ) -> Ranked:
        """Return the best ``k`` items for the rows of a session, oldest first."""
        known = tuple(row for row in rows if 0 < row < len(self._vectors))[-VECTOR_ITEMS:]
        if known != self._asked or not len(self._scores):
            self._asked = known
            weights = DECAY ** np.arange(len(known) - 1, -1, -1, dtype=np.float32)
            session = weights @ self._vectors[list(known)] if known else self._vectors[0]
            self._scores = self._vectors @ session
            self._scores[self._unknown] = -np.inf
        k = min(k, len(self._scores) - 1)
        best = np.argpartition(-self._scores, k)[:k]
        best = best[np.argsort(-self._scores[best], kind="stable")]
        best = best[np.isfinite(self._scores[best])]
        return Ranked(best.astype(np.int32), self._scores[best])


def covisit_vectors(engine: Engine, seed: int = 0) -> Vectors:
    """Return vectors of the items' co-visit counts, unit length, (rows, 64)."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - for this baseline only
    from scipy.sparse.linalg import svds  # noqa: PLC0415

    rows, columns, counts = covisits(engine)
    n = len(engine.ids)
    total = max(counts.sum(), 1.0)
    left, right = np.bincount(rows, counts, n), np.bincount(columns, counts, n)
    information = np.log(counts * total / (left[rows] * right[columns]))
    kept = information > 0
    matrix = csr_matrix((information[kept], (rows[kept], columns[kept])), (n, n), dtype=np.float32)
    u, s, _ = svds(matrix, k=min(DIMENSIONS, n - 2), rng=np.random.default_rng(seed))
    return unit(np.ascontiguousarray(u * np.sqrt(s), np.float32))


def covisits(engine: Engine) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the co-visit counts that the models keep: rows, columns, counts."""
    items, rules = engine.arrays["items"], engine.arrays["rules"]
    n = len(engine.ids)
    sizes = RULE_SLABS[items["rules_slab"][:n]]
    rows = np.repeat(np.arange(n), sizes)
    first = np.repeat(items["rules"][:n].astype(np.int64), sizes)
    ends = np.cumsum(sizes)
    entries = rules[first + np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)]
    kept = (entries["item"] > 0) & (entries["cov"] > 0)
    counts: NDArray[np.float64] = entries["cov"][kept].astype(np.float64)
    return rows[kept], entries["item"][kept].astype(np.int64), counts


def content_vectors(engine: Engine, seed: int = 0) -> Vectors:
    """Return vectors of the items' tokens, unit length, (rows, 64); 0 without content."""
    tokens = engine.arrays["item_tokens"][: len(engine.ids)]
    used, places = np.unique(tokens, return_inverse=True)
    places = places.reshape(tokens.shape)
    items = np.bincount(places[tokens > 0], minlength=len(used))
    weights = np.log(len(engine.ids) / np.maximum(items, 1))
    directions = np.random.default_rng(seed).normal(size=(len(used), DIMENSIONS))
    directions *= (weights * (used > 0))[:, None]
    return unit(directions[places].sum(axis=1).astype(np.float32))


def unit(vectors: Vectors) -> Vectors:
    """Return vectors at unit length; those without length as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)
