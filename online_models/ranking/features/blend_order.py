"""The order in which the blend picked the candidates."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import BLEND

PLACE, SCORE, SHARE = range(3)
PART = "the blend's order"


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    x = st.features
    top = st.pool_score[st.candidates[0]]
    for i in range(st.found[0].candidates):
        below = st.pool_score[st.candidates[i]] - top
        x[first + PLACE, i] = np.float32(1) / (i + 1)
        x[first + SCORE, i] = below
        x[first + SHARE, i] = math.exp(below)


FAMILY = Family(
    (
        Feature("place", PART, "1 / place in the blend's order, from 1", "1 / place", BLEND),
        Feature("score", PART, "the blend's score minus the best one", "log odds", BLEND),
        Feature("share", PART, "exponential of `score`", "ratio 0..1", BLEND),
    ),
    _fill,
)
