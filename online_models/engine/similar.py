"""Neighbours of an item: by what visitors do, by what items are, or by both."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from online_models.engine.answering import Answering
from online_models.ranking import page
from online_models.ranking.page import MAX_ANSWER
from online_models.ranking.request import (
    NO_FILTER,
    NO_SESSION,
    UNKNOWN_TIMES,
    Filter,
    Ranked,
    page_size,
)
from online_models.vectors.near_lists import NOTHING

NEAREST = 200
"""The most items that the vector index is asked for."""

LIKE = 1_000
"""The most items that are asked for by content: a filter may refuse most of them."""

RANK_PRIOR = 60
"""What is added to a place before its reciprocal is taken: the ``k`` of the paper."""


class By(Enum):
    """By what items are neighbours; see `Similarity` in ``recommendation_service.proto``."""

    BEHAVIOUR = "behaviour"
    CONTENT = "content"
    MIX = "mix"


class SimilarItems(Answering):
    """The part of `Engine` that finds neighbours."""

    def similar(self, row: int, k: int, flt: Filter | None = None, by: By = By.BEHAVIOUR) -> Ranked:
        """Return ``k`` neighbours of an item, without the item itself.

        Parameters
        ----------
        row
            The item.
        k
            1..512.
        flt
            Which items may be in the answer.
        by
            By behaviour: items that visitors of the item also click. By content: items whose
            content vectors have the largest cosine with its own, which is their score; `n_near` are
            those. By both: see `fused`. Popular items fill the page.
        """
        base = flt or NO_FILTER
        excluding = replace(base, excluded_rows=(*base.excluded_rows, row))
        size = page_size(k)
        if by is By.BEHAVIOUR:
            return self._by_behaviour(row, size, excluding)
        if by is By.CONTENT:
            return self._by_content(row, size, excluding)
        behaviour = self._by_behaviour(row, NEAREST, excluding)
        known = behaviour.rows[: behaviour.n_ranked + behaviour.n_near]
        content = self._by_content(row, NEAREST, excluding)
        rows, scores = fused([known, content.rows[: content.n_near]])
        return self._page_of(row, rows, scores, size, excluding)

    def _by_behaviour(self, row: int, size: int, flt: Filter) -> Ranked:
        return self._answer_with(self._nearest_to_last, [row], size, NO_SESSION, flt, UNKNOWN_TIMES)

    def _by_content(self, row: int, size: int, flt: Filter) -> Ranked:
        if self.content is None:
            rows, cosines = NOTHING, np.zeros(0, np.float32)
        else:
            rows, cosines = self.content.near(row, LIKE)
        return self._page_of(row, rows, cosines, size, flt)

    def _page_of(
        self,
        row: int,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        size: int,
        flt: Filter,
    ) -> Ranked:
        """Return a page of rows in their order, as far as the filter allows, then popular items."""
        self._request.write([row], size, NO_SESSION, flt, UNKNOWN_TIMES)
        n, n_near = page.fill_with_near(self._state, 0, rows)
        ranked = self._written(n, 0, n_near)
        score_of = dict(zip(rows.tolist(), scores.tolist(), strict=True))
        ranked.scores[:n_near] = [score_of[near] for near in ranked.rows[:n_near].tolist()]
        return ranked

    def _nearest_to_last(self) -> NDArray[np.int64]:
        """Return the rows near the query's last item, by a query of the index."""
        assert self.index is not None
        vector = self.arrays["target_vectors"][self._query[self._request.n_query - 1]]
        return self.index.query(vector, NEAREST)[0] if vector.any() else NOTHING


def fused(lists: list[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows of several lists, best first, and their scores: sums of 1 / (60 + place).

    Reciprocal rank fusion (Cormack, Clarke & Buettcher, SIGIR 2009): scores of different kinds are
    never compared, only places, from 1. Of equal rows, that of the first list comes first.

    >>> rows, scores = fused([np.array([3, 4], np.int32), np.array([5, 4], np.int32)])
    >>> rows.tolist(), [round(float(s), 4) for s in scores]
    ([4, 3, 5], [0.0323, 0.0164, 0.0164])
    """
    scores: dict[int, float] = {}
    for rows in lists:
        for place, row in enumerate(rows.tolist(), 1):
            scores[row] = scores.get(row, 0.0) + 1 / (RANK_PRIOR + place)
    best = sorted(scores.items(), key=lambda scored: -scored[1])[:MAX_ANSWER]
    return np.array([row for row, _ in best], np.int64), np.array(
        [score for _, score in best], np.float32
    )
