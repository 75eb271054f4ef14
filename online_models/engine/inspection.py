"""Details of an answer: the orders of other rankings, candidates, reasons, measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.engine.similar import SimilarItems
from online_models.ranking import network, page, rankings
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.explanation import POPULARITY, blend_scores, reasons
from online_models.ranking.features.declared import GROUPS
from online_models.ranking.features.entity import ItemFacts, Value
from online_models.ranking.features.feature import Entity
from online_models.ranking.features.registry import N_FEATURES, set_features
from online_models.ranking.features.registry import NAMES as FEATURES
from online_models.ranking.request import (
    NO_SESSION,
    UNKNOWN_TIMES,
    Filter,
    Past,
    Ranked,
    Rows,
    page_size,
)
from online_models.sources import popularity
from online_models.sources.registry import COLUMN, N_COLUMNS, retrieve
from online_models.tables.click_times import times_of_request
from online_models.vectors import two_towers

BECAUSE, ALONE = 3, 8
"""The most items that an explanation names, and the latest items that it considers."""


class Candidates(NamedTuple):
    """The candidates of an answer.

    ``rows`` (n,) int32 are the items, best of the blend first; ``features`` (N_FEATURES, n) float32
    are what the rankings read of them; ``last_s`` is the time of the session's last click, seconds
    since 1970, 0: unknown. ``session`` (N_FEATURES,) float32 has the features that are the same for
    every candidate, also where there is none.
    """

    rows: NDArray[np.int32]
    features: NDArray[np.float32]
    session: NDArray[np.float32]
    last_s: int


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

    def candidate_features(
        self,
        items: Rows,
        own: int = NO_SESSION,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
        past: Past | None = None,
    ) -> Candidates:
        """Return the features of the candidates of an answer, by the kernel that answers.

        Arguments as `recommend`'s; ``items`` must not be empty.
        """
        self._request.write(items, CANDIDATES, own, flt, times_s, past)
        page.recommend(self._state)
        a, n = self.arrays, int(self._found["candidates"][0])
        if n == 0:  # what is the same for every candidate is computed with the first one
            self._found["candidates"] = 1
        set_features(self._state)  # unless the ranker has
        self._found["candidates"] = n
        features = a["features"][:N_FEATURES].copy()
        last_s = int(times_of_request(self._state)[1])
        rows = a["pool"][a["candidates"][:n]].copy()
        return Candidates(rows, features[:, :n], features[:, 0], last_s)

    def ranker_scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the ranker's scores (n,) of candidates' features (N_FEATURES, n)."""
        a, n = self.arrays, features.shape[1]
        a["features"][:N_FEATURES, :n] = features
        a["features"][:N_FEATURES, n:] = 0
        network.forward(self._state, a["features"], n, a["network"][network.AVERAGED])
        scores: NDArray[np.float32] = a["ranking_score"][:n].copy()
        return scores

    def item_features(self, row: int, categories: Sequence[str] = ()) -> list[Value]:
        """Return the values of an item's features, in the order of their groups.

        Parameters
        ----------
        row
            The item; not 0.
        categories
            Those that the catalogue has of it.
        """
        facts = ItemFacts(self._state, row, categories)
        return [value for group in GROUPS[Entity.ITEM] for value in group.values(facts)]

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
