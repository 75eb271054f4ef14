"""Recent popularity."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import COUNTS
from online_models.sources.popularity import log_trend
from online_models.sources.registry import FACT

COUNT = FACT["count"]


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    own_learned = st.found[0].own_learned
    for i in range(st.found[0].candidates):
        p = st.candidates[i]
        own = st.score[p][COUNT] * own_learned
        st.features[first, i] = log_trend(st, st.pool[p], own)


FAMILY = Family(
    (
        Feature(
            "log_trend",
            "popularity",
            "log of clicks with the short decay, without the session's own",
            "log clicks",
            COUNTS,
        ),
    ),
    _fill,
)
