"""Vectors as features: dot products of a candidate's target vector with vectors of the session."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.prefetch import prefetch
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import VECTORS
from online_models.vectors.two_towers import DIMENSIONS, session_vector

SESSION, LAST, RAW = range(3)
FLOATS_A_LINE = 16
LOWEST = np.float32(-1e30)


@njit(cache=True, fastmath=True)
def _fill(st: State, first: int) -> None:
    x, n, n_query = st.features, st.found[0].candidates, st.request[0].n_query
    words = st.target_vectors.reshape(-1)
    for i in range(n):
        at = st.pool[st.candidates[i]] * DIMENSIONS
        for d in range(0, DIMENSIONS, FLOATS_A_LINE):
            prefetch(words, at + d)
    h, last = st.query_vector, st.context_vectors[st.query[n_query - 1]]
    session_vector(st.context_vectors, st.query, 0, n_query, h)
    best = LOWEST
    best_last = LOWEST
    for i in range(n):
        e = st.target_vectors[st.pool[st.candidates[i]]]
        a = np.float32(0)
        b = np.float32(0)
        for d in range(DIMENSIONS):
            a += h[d] * e[d]
            b += last[d] * e[d]
        x[first + SESSION, i] = a
        x[first + LAST, i] = b
        x[first + RAW, i] = a
        best = max(best, a)
        best_last = max(best_last, b)
    for i in range(n):
        x[first + SESSION, i] -= best
        x[first + LAST, i] -= best_last


FAMILY = Family(
    (
        Feature(
            "vector_session",
            "vectors",
            "dot product with the session's vector, minus the best one",
            "dot product",
            VECTORS,
        ),
        Feature(
            "vector_last",
            "vectors",
            "dot product with the last item's vector, minus the best one",
            "dot product",
            VECTORS,
        ),
        Feature(
            "vector_raw",
            "vectors",
            "dot product with the session's vector",
            "dot product",
            VECTORS,
        ),
    ),
    _fill,
    tables=(Table("query_vector", np.float32, (DIMENSIONS,)),),
)
