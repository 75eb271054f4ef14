"""Times of the session's last clicks (`tables.click_times`): the same for every candidate."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Entity, Family, Feature
from online_models.ranking.features.origins import CLICK_TIMES


@njit(cache=True)
def _fill(st: State, first: int) -> None:
    for k in range(len(st.time_features)):
        st.features[first + k, : st.found[0].candidates] = st.time_features[k]


def _feature(name: str, meaning: str, unit: str) -> Feature:
    return Feature(name, "time", meaning, unit, CLICK_TIMES, entity=Entity.SESSION)


FAMILY = Family(
    (
        _feature(
            "log_gap", "log(1 + seconds between the last two clicks); 0: unknown", "log seconds"
        ),
        _feature("hour_sine", "sine of the last click's time of day, UTC; 0: unknown", "-1..1"),
        _feature("hour_cosine", "cosine of the last click's time of day, UTC; 0: unknown", "-1..1"),
    ),
    _fill,
)
