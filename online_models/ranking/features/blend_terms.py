"""The blend's terms as features: its score of a candidate is their dot product with its weights."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.ranking.blend import ITEM_TERMS, LOG_CLICKS, N_TERMS, ROOT, set_item_terms
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import COUNTS, SESSION
from online_models.sources.registry import COLUMNS, N_COLUMNS

SCORES = "the sources' scores"
"""Part of the features that go with their source."""

POPULARITY, OWN_ITEMS = "popularity", "own items"

DECLARED = (
    Feature(
        "log_clicks",
        POPULARITY,
        "log(1 + clicks), without the session's own",
        "log clicks",
        COUNTS,
    ),
    Feature(
        "log_popularity",
        POPULARITY,
        "log of clicks with the long decay, without the session's own",
        "log clicks",
        COUNTS,
    ),
    Feature(
        "log_age",
        POPULARITY,
        "0.2 log(1 + clicks on any item since the last one on it); 0 for the session's own items",
        "0.2 log clicks",
        COUNTS,
    ),
    Feature("own", OWN_ITEMS, "1 if the session contains it", "0 or 1", SESSION),
    Feature("own_count", OWN_ITEMS, "how often the session contains it", "steps", SESSION),
    Feature(
        "own_log_ago",
        OWN_ITEMS,
        "log(1 + steps since the session last clicked it)",
        "log steps",
        SESSION,
    ),
    Feature("own_last", OWN_ITEMS, "1 if it is the session's last item", "0 or 1", SESSION),
    Feature("own_second", OWN_ITEMS, "1 if it is the second last item", "0 or 1", SESSION),
    Feature("own_third", OWN_ITEMS, "1 if it is the third last item", "0 or 1", SESSION),
)
_BY_NAME = {feature.name: feature for feature in DECLARED}


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
            Feature(
                c.name,
                SCORES,
                f"score of the source's column {c.name} as a share of the best one in the pool",
                "share 0..1",
                COUNTS,
                column=c.name,
            )
            for c in COLUMNS
        ),
        *(
            Feature(
                f"root_{c.name}",
                SCORES,
                f"square root of the share {c.name}",
                "root of a share, 0..1",
                COUNTS,
                column=c.name,
            )
            for c in COLUMNS
        ),
        *(_BY_NAME[name] for name in ITEM_TERMS),
    ),
    _fill,
)
