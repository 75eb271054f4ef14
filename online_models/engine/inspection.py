"""Details of an answer: the orders of other rankings, candidates, reasons, measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.engine.similar import SimilarItems
from online_models.ranking import page, rankings
from online_models.ranking.explanation import POPULARITY, blend_scores, reasons
from online_models.ranking.features.registry import NAMES as FEATURES
from online_models.ranking.request import NO_SESSION, Past, Ranked, Rows, page_size
from online_models.sources import popularity
from online_models.sources.registry import COLUMN, N_COLUMNS, retrieve
from online_models.vectors import two_towers

BECAUSE, ALONE = 3, 8
"""The most items that an explanation names, and the latest items that it considers."""


class Inspection(SimilarItems):
    """The part of `Engine` that explains and measures answers."""

    @property
    def asked(self) -> tuple[int, int]:
        """Identifies the last answer: the models' clock, and the number of the request."""
        return self.clicks, self._request.number

    def shadows(self, k: int, asked: tuple[int, int]) -> list[tuple[str, Ranked]]:
        """Return what the other rankings would have answered instead of the last `recommend`.

        Their names, with up to ``k`` items each, without items that only fill a page. Rankings that
        cannot order the candidates are missing. Empty if ``asked`` differs from `Engine.asked`:
        another answer, or a click, has overwritten the candidates.
        """
        size = page_size(k)
        if asked != self.asked or self._request.n_query == 0:
            return []
        found = []
        for place, name in enumerate(rankings.NAMES):
            if rankings.order_in_shadow(self._state, place):
                n = int(page.write_ranked(self._state, size))
                found.append((name, self._written(n, n)))
        return found

    def candidates(
        self, items: Rows, own: int = NO_SESSION
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return all items that the sources find for a session.

        Returns
        -------
        Rows (n,) int32 and raw scores (n, N_COLUMNS) float32, by column as in
        `sources.registry.COLUMN`; unordered. n is at most `sources.registry.POOL`.
        """
        self._request.write(items, 0, own)
        retrieve(self._state)
        n = int(self._found["pool_size"][0])
        return self.arrays["pool"][:n].copy(), self.arrays["score"][:n, :N_COLUMNS].copy()

    def explain(
        self,
        items: Rows,
        rows: NDArray[np.int32],
        own: int = NO_SESSION,
        past: Past | None = None,
    ) -> list[list[tuple[str, float, list[int]]]]:
        """Return why items are recommended: for each, (reason, share 0..1, rows that support it).

        Shares are those of the blend's positive terms. The rows are those items of the session that
        give the item the highest scores when queried alone, at most 3. What is queried depends on
        the session, not on the number of ``rows``. On a first page, the session is the past.
        """
        self._request.write(items, 0, own, past=past)
        shares = reasons(self._state, self.arrays, rows)
        alone: list[list[tuple[float, int]]] = [[] for _ in rows]
        latest = self._query[: self._request.n_query].tolist()[-ALONE:]
        for a in dict.fromkeys(r for r in reversed(latest) if r):
            self._request.write([a], 0, own)
            for which, score in enumerate(blend_scores(self._state, self.arrays, rows)):
                if score is not None:
                    alone[which].append((score, a))
        because = [[a for _, a in sorted(scored, reverse=True)[:BECAUSE]] for scored in alone]
        return [
            [
                (reason, share, [] if reason == POPULARITY else supporting)
                for reason, share in sorted(shared.items(), key=lambda s: -s[1])
                if share > 0
            ]
            for shared, supporting in zip(shares, because, strict=True)
        ]

    def leave_out(self, columns: Sequence[str] = (), features: Sequence[str] = ()) -> None:
        """Leave out columns of the pool and features, to find out what they contribute.

        A source whose columns are all left out is not used.
        """
        for name, places in (
            ("left_out_columns", [COLUMN[c] for c in columns]),
            ("left_out_features", [FEATURES.index(f) for f in features]),
        ):
            self.arrays[name][:] = 0
            self.arrays[name][places] = 1
        self._request.n_left_out = len(columns) + len(features)
        self.arrays["request"]["n_left_out"] = self._request.n_left_out

    def diversity(self, rows: NDArray[np.int32]) -> float:
        """Return 1 minus the mean pairwise cosine of the items' vectors; 0 for fewer than two.

        Intra-list similarity (Ziegler et al., WWW 2005) with learned vectors instead of topics.
        """
        return float(two_towers.diversity(self._state, rows))

    def popularity(self, rows: NDArray[np.int32]) -> float:
        """Return the mean of log(1 + clicks) of some items; 0 for none."""
        return float(popularity.mean_log_clicks(self._state, rows))
