"""Why an item is recommended: its reasons, with their shares of its score in the blend."""

from __future__ import annotations

import numpy as np

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


def reasons(st: State, arrays: Arrays, row: int) -> dict[str, float]:
    """Return the reasons for an item with their shares, 0..1, for the request in ``st``.

    Shares are those of the blend's positive terms. The reason for an item that no source has found
    is its popularity.
    """
    retrieve(st)
    n = int(arrays["found"]["pool_size"][0])
    places = np.flatnonzero(arrays["pool"][:n] == row)
    if len(places) == 0:
        return {POPULARITY: 1.0}
    score_pool(st)
    set_terms(st, int(places[0]))
    terms = np.maximum(arrays["terms"][:N_TERMS] * arrays["blend_weights"][:N_TERMS], 0)
    shares: dict[str, float] = {}
    for reason, term in zip(_REASONS, terms.tolist(), strict=True):
        shares[reason] = shares.get(reason, 0.0) + term
    total = sum(shares.values()) or 1.0
    return {reason: share / total for reason, share in shares.items()}
