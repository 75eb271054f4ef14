"""Session and pool as a whole: the same for every candidate."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.features.family import Entity, Family, Feature
from online_models.ranking.features.feature import Origin
from online_models.ranking.features.origins import COUNTS, SESSION
from online_models.sources.pool import find_in_pool
from online_models.sources.registry import FACT

AGO = FACT["ago"]
PART = "session's shape"


def _feature(name: str, meaning: str, unit: str, origin: Origin = SESSION) -> Feature:
    return Feature(name, PART, meaning, unit, origin, entity=Entity.SESSION)


FEATURES = (
    _feature("session_log_length", "log of the number of items in the query", "log items"),
    _feature("session_one", "1 if the query has one item", "0 or 1"),
    _feature("session_two", "1 if it has two", "0 or 1"),
    _feature("session_repeats", "share of its items that occur again later in it", "share 0..1"),
    _feature(
        "log_neighbours", "log(1 + sessions that share an item with it)", "log sessions", COUNTS
    ),
    _feature(
        "log_last_sessions",
        "log(1 + sessions that have clicked its last item)",
        "log sessions",
        COUNTS,
    ),
    _feature("log_pool", "log(1 + items that the sources have found)", "log items", COUNTS),
)


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    found, n_query, shape = st.found[0], st.request[0].n_query, st.shape
    repeats = 0
    for u in range(n_query):
        if st.query[u] != 0:
            r = st.score[find_in_pool(st, st.query[u], found.pool_size)]
            repeats += r[AGO] != n_query - 1 - u
    shape[0] = math.log(n_query)
    shape[1] = n_query == 1
    shape[2] = n_query == 2
    shape[3] = repeats / n_query
    shape[4] = math.log(1.0 + found.neighbours)
    shape[5] = math.log(1.0 + st.items[st.query[n_query - 1]].sessions)
    shape[6] = math.log(1.0 + found.pool_size)
    for k in range(len(shape)):
        st.features[first + k, : found.candidates] = shape[k]


FAMILY = Family(FEATURES, _fill, tables=(Table("shape", np.float32, (len(FEATURES),)),))
