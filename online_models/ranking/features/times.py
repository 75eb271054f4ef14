"""Times of the session's last clicks (`tables.click_times`): the same for every candidate."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature


@njit(cache=True)
def _fill(st: State, first: int) -> None:
    for k in range(len(st.time_features)):
        st.features[first + k, : st.found[0].candidates] = st.time_features[k]


FAMILY = Family(
    (
        Feature("log_gap", "time", "log(1 + seconds between the last two clicks); 0: unknown"),
        Feature("hour_sine", "time", "sine of the last click's time of day, UTC; 0: unknown"),
        Feature("hour_cosine", "time", "cosine of the last click's time of day, UTC; 0: unknown"),
    ),
    _fill,
)
