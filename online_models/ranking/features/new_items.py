"""What being like the session's last items says of a new item. All are 0 if none is."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import CATALOGUE

PART = "new items"
FEATURES = (
    Feature("new_like", PART, "1 if it is new and like one of the last items", "0 or 1", CATALOGUE),
    Feature(
        "new_cosine", PART, "largest cosine of its content with one of these", "cosine", CATALOGUE
    ),
    Feature(
        "new_beside",
        PART,
        "log(1 + clicks of the session's last item), if it is like one",
        "log clicks",
        CATALOGUE,
    ),
)
LIKE, COSINE, BESIDE = range(len(FEATURES))
ROWS = len(FEATURES)


@njit(cache=True)
def _fill(st: State, first: int) -> None:
    x, n = st.features, st.found[0].candidates
    x[first : first + ROWS, :n] = 0
    new_first = st.found[0].new_first
    if new_first == st.found[0].pool_size:
        return
    last = st.stats[st.query[st.request[0].n_query - 1]].log_clicks
    for c in range(n):
        p = st.candidates[c]
        if p >= new_first:
            x[first + LIKE, c] = 1
            x[first + COSINE, c] = st.new_cosines[p]
            x[first + BESIDE, c] = last


FAMILY = Family(FEATURES, _fill)
