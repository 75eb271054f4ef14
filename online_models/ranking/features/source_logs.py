"""Logs of the sources' raw scores: they say how much evidence there is; shares only compare."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import COUNTS
from online_models.sources.registry import COLUMN

LOGGED = ("knn_place", "seq", "cov", "knn_after", "knn_undecayed", "knn_recent", "hop_seq")
SMALLEST = np.float32(1e-4)
_COLUMNS = np.array([COLUMN[name] for name in LOGGED])


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    for i in range(st.found[0].candidates):
        r = st.score[st.candidates[i]]
        for k in range(len(_COLUMNS)):
            st.features[first + k, i] = math.log(r[_COLUMNS[k]] + SMALLEST)


FAMILY = Family(
    tuple(
        Feature(
            f"log_{name}",
            "logs of scores",
            f"log({SMALLEST:g} + raw score {name})",
            "log score",
            COUNTS,
            column=name,
        )
        for name in LOGGED
    ),
    _fill,
)
