"""Why an item is recommended: its reasons, with their shares of its score in the blend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.memory.table import Arrays
from online_models.ranking.blend import LOG_CLICKS, N_TERMS, OWN, ROOT, score_pool, set_terms
from online_models.sources.registry import COLUMNS, retrieve

POPULARITY, OWN_ITEMS = "popularity", "own-items"


def _reason(term: int) -> str:
    """Return the reason that a term of the blend stands for."""
    if term < LOG_CLICKS:
        return COLUMNS[term % ROOT].reason
    return POPULARITY if term < OWN else OWN_ITEMS


_REASONS = tuple(map(_reason, range(N_TERMS)))


def reasons(st: State, arrays: Arrays, rows: NDArray[np.int32]) -> list[dict[str, float]]:
    """Return the reasons for each of some items with their shares, 0..1, for the request in ``st``.

    Shares are those of the blend's positive terms. The reason for an item that no source has found
    is its popularity.
    """
    found = [{POPULARITY: 1.0} for _ in rows]
    weights = arrays["blend_weights"][:N_TERMS]
    for place, which in _places(st, arrays, rows):
        set_terms(st, place)
        terms = np.maximum(arrays["terms"][:N_TERMS] * weights, 0)
        shares: dict[str, float] = {}
        for reason, term in zip(_REASONS, terms.tolist(), strict=True):
            shares[reason] = shares.get(reason, 0.0) + term
        total = sum(shares.values()) or 1.0
        found[which] = {reason: share / total for reason, share in shares.items()}
    return found


def blend_scores(st: State, arrays: Arrays, rows: NDArray[np.int32]) -> list[float | None]:
    """Return the blend's score of each of some items for the request in ``st``.

    None for an item that no source has found.
    """
    found: list[float | None] = [None] * len(rows)
    for place, which in _places(st, arrays, rows):
        found[which] = float(arrays["pool_score"][place])
    return found


def _places(st: State, arrays: Arrays, rows: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Find and score the pool; return the places in it of the items found, and in ``rows``."""
    retrieve(st)
    score_pool(st)
    n = int(arrays["found"]["pool_size"][0])
    places, which = np.nonzero(arrays["pool"][:n, None] == rows)
    return list(zip(places.tolist(), which.tolist(), strict=True))
