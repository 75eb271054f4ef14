"""The blend's terms as features: its score of a candidate is their dot product with its weights."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.ranking.blend import ITEM_TERMS, LOG_CLICKS, N_TERMS, ROOT, set_item_terms
from online_models.ranking.features.family import Family, Feature
from online_models.sources.registry import COLUMNS, N_COLUMNS

SCORES = "the sources' scores"
"""Part of the features that go with their source."""

MEANINGS = {
    "log_clicks": ("popularity", "log(1 + clicks), without the session's own"),
    "log_popularity": (
        "popularity",
        "log of clicks with the long decay, without the session's own",
    ),
    "log_age": ("popularity", "0.2 log(1 + clicks on any item since the last one on it)"),
    "own": ("own items", "1 if the session contains it"),
    "own_count": ("own items", "how often the session contains it"),
    "own_log_ago": ("own items", "log(1 + steps since the session last clicked it)"),
    "own_last": ("own items", "1 if it is the session's last item"),
    "own_second": ("own items", "1 if it is the second last item"),
    "own_third": ("own items", "1 if it is the third last item"),
}


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    x, n, terms = st.features, st.found[0].candidates, st.terms
    for i in range(n):
        p = st.candidates[i]
        for k in range(N_COLUMNS):
            x[first + k, i] = st.score[p, k] * st.scale[k]
        set_item_terms(st, p, terms)
        for k in range(LOG_CLICKS, N_TERMS):
            x[first + k, i] = terms[k]
    for k in range(N_COLUMNS):
        for i in range(n):
            x[first + ROOT + k, i] = np.sqrt(x[first + k, i])


FAMILY = Family(
    (
        *(
            Feature(c.name, SCORES, f"share of the best {c.name} in the pool, 0..1")
            for c in COLUMNS
        ),
        *(Feature(f"root_{c.name}", SCORES, f"square root of the share {c.name}") for c in COLUMNS),
        *(Feature(name, *MEANINGS[name]) for name in ITEM_TERMS),
    ),
    _fill,
)
