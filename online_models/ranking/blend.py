"""The blend: one linear score over cheap features of the pool.

Each source's score counts twice, as a share of the best one in this pool and as the root
of that share; popularity, time since the last click, and what the item already is to the
session come beside it. Popularity is taken without the session's own clicks, which a session
that is not learned has not added; the age of its own items says nothing and is 0. The weights
are constants, fitted once by listwise softmax on the last tenth of training files (never on a
test file).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import AGO, CLOCK, COUNT, OWN_LEARNED, SOURCES, State
from online_models.sources.popularity import logs_without

W_ROOT = SOURCES
W_LOG_CLICKS, W_LOG_POPULARITY, W_LOG_AGE = 24, 25, 26
W_OWN, W_COUNT, W_LOG_AGO, W_AGO = 27, 28, 29, 30  # and 31, 32: two and three steps ago
N_WEIGHTS = 33


@njit(cache=True, fastmath=True)
def scales(st: State, n: int) -> None:
    """Set ``st.scale`` to 1 / the best score of each source in the pool, and its root."""
    scale, root = st.scale, st.root_scale
    for k in range(SOURCES):
        scale[k] = 1e-9
    for p in range(n):
        r = st.score[p]
        for k in range(SOURCES):
            scale[k] = max(scale[k], r[k])
    for k in range(SOURCES):
        scale[k] = np.float32(1) / scale[k]
        root[k] = np.sqrt(scale[k])


@njit(cache=True, fastmath=True)
def blend(st: State, n: int) -> None:
    """Score the pool: ``st.pool_score[:n]``."""
    scales(st, n)
    w, clock = st.weights, st.ctr[CLOCK]
    for p in range(n):
        r = st.score[p]
        x = np.float32(0)
        for k in range(SOURCES):
            x += w[k] * st.scale[k] * r[k] + w[W_ROOT + k] * st.root_scale[k] * np.sqrt(r[k])
        log_clicks, log_recent = logs_without(st, st.pool[p], r[COUNT] * st.ctr[OWN_LEARNED])
        x += w[W_LOG_CLICKS] * log_clicks + w[W_LOG_POPULARITY] * log_recent
        if r[COUNT] == 0:
            age = np.float32(clock - st.stats[st.pool[p]].last)
            x += w[W_LOG_AGE] * np.float32(0.2) * math.log(np.float32(1) + age)
        else:
            ago = int(r[AGO])
            x += w[W_OWN] + w[W_COUNT] * r[COUNT] + w[W_LOG_AGO] * math.log(1.0 + ago)
            if ago < 3:
                x += w[W_AGO + ago]
        st.pool_score[p] = x


@njit(cache=True)
def features(st: State, p: int, out: NDArray[np.float32]) -> None:
    """Features of pool row ``p``, (N_WEIGHTS,): the blend is their product with the weights."""
    r = st.score[p]
    s = st.stats[st.pool[p]]
    for k in range(SOURCES):
        out[k] = r[k] * st.scale[k]
        out[W_ROOT + k] = math.sqrt(out[k])
    own = r[COUNT] * st.ctr[OWN_LEARNED]
    out[W_LOG_CLICKS], out[W_LOG_POPULARITY] = logs_without(st, st.pool[p], own)
    out[W_LOG_AGE] = 0
    if r[COUNT] == 0:
        out[W_LOG_AGE] = 0.2 * math.log(1.0 + (st.ctr[CLOCK] - s.last))
    for k in range(W_OWN, N_WEIGHTS):
        out[k] = 0
    if r[COUNT] > 0:
        ago = int(r[AGO])
        out[W_OWN] = 1
        out[W_COUNT] = r[COUNT]
        out[W_LOG_AGO] = math.log(1.0 + ago)
        if ago < 3:
            out[W_AGO + ago] = 1
