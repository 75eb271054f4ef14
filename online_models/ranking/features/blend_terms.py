"""The blend's terms as features: its score of a candidate is their dot product with its weights."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.blend import ITEM_TERMS, N_TERMS, set_terms
from online_models.ranking.features.family import Family, Feature
from online_models.sources.registry import COLUMNS

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
    terms = st.terms
    for i in range(st.found[0].candidates):
        set_terms(st, st.candidates[i], terms)
        for k in range(N_TERMS):
            st.features[first + k, i] = terms[k]


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
