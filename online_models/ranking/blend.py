"""The blend: one linear score over cheap terms of each item in the pool.

Each source's score counts twice: as a share of the best one in this pool, and as the root of that
share. Further terms are popularity, the clicks since the last one on the item, and whether and
where the session itself contains it. Popularity excludes the session's own clicks; the age of its
own items says nothing and is 0.

The same terms are the first features of the ranker, so the blend's score of a candidate is the dot
product of these features with the weights.

The initial weights were fitted once by listwise softmax (Adagrad, 12 passes) on 4,000 cases each
from the last 5 to 10 % of the training files of rsc15_64_timed, yoochoose_1_64, diginetica, tmall,
nowplaying and serenade_example; no test file was read. On a fifth of the cases held out, HR@20 /
MRR@20 rose from those with hand-set weights (kNN 4, rules 2.8, co-visits 1.2) 76.2 / 31.2 to 79.6 /
40.0 (rsc15), 60.5 / 20.6 to 83.7 / 45.6 (tmall), 62.4 / 19.0 to 66.6 / 23.0 (diginetica). The
weights of the columns are declared with the sources (`sources.source.Column`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.prefetch import prefetch
from online_models.memory.state import State
from online_models.memory.table import Kept, Table
from online_models.sources.popularity import logs_without
from online_models.sources.registry import COLUMN, COLUMNS, FACT, N_COLUMNS, POOL

COUNT, AGO = FACT["count"], FACT["ago"]

ITEM_TERMS = {
    "log_clicks": -0.21,
    "log_popularity": 0.00,
    "log_age": -0.21,
    "own": 0.44,
    "own_count": 0.53,
    "own_log_ago": 0.24,
    "own_last": -0.34,
    "own_second": 0.07,
    "own_third": -0.13,
}
"""Further terms, with their initial weights."""

TERMS = (
    *(column.name for column in COLUMNS),
    *(f"root_{column.name}" for column in COLUMNS),
    *ITEM_TERMS,
)
N_TERMS = len(TERMS)
ROOT = N_COLUMNS
LOG_CLICKS, LOG_POPULARITY, LOG_AGE = (
    TERMS.index(name) for name in ("log_clicks", "log_popularity", "log_age")
)
OWN, OWN_COUNT, OWN_LOG_AGO, OWN_LAST = (
    TERMS.index(name) for name in ("own", "own_count", "own_log_ago", "own_last")
)
RECENT_OWN = 3
"""The last, the second last and the third last item have terms of their own, from `OWN_LAST`."""

N_WEIGHTS = -(-N_TERMS // 64) * 64
"""Weights are padded to a multiple of 64, so that the size of their records seldom changes."""

FITTED = np.array(
    [
        *(column.weight for column in COLUMNS),
        *(column.root_weight for column in COLUMNS),
        *ITEM_TERMS.values(),
    ],
    np.float32,
)
"""Initial weights of the blend, (N_TERMS,)."""


def _only(name: str) -> NDArray[np.float32]:
    weights = np.zeros(N_TERMS, np.float32)
    weights[COLUMN[name]] = 1
    return weights


SINGLE_SOURCE_WEIGHTS: dict[str, NDArray[np.float32]] = {
    "blend": FITTED,
    "session-knn": _only("knn_place"),
    "rules": _only("seq"),
    "covisitation": _only("cov"),
    "item-knn": _only("cov1"),
}
"""Weights that rank by a single source: baselines to compare the blend with."""


def _begin(weights: NDArray[np.float32], limits: Limits, seed: int) -> None:
    del limits, seed
    weights[:N_TERMS] = FITTED


TABLES = (
    Table("blend_weights", np.float32, (N_WEIGHTS,), Kept.WHOLE, _begin),
    Table("blend_squares", np.float32, (N_WEIGHTS,), Kept.WHOLE),
    Table("used_weights", np.float32, (N_WEIGHTS,)),
    Table("scale", np.float32, (N_COLUMNS,)),
    Table("pool_score", np.float32, (POOL,)),
    Table("terms", np.float32, (N_WEIGHTS,)),
)


@njit(cache=True, fastmath=True)
def _set_scale(st: State, n: int) -> None:
    """Set ``st.scale`` to 1 / the best score of each column in the pool."""
    scale = st.scale
    for k in range(N_COLUMNS):
        scale[k] = 1e-9
    for p in range(n):
        r = st.score[p]
        for k in range(N_COLUMNS):
            scale[k] = max(scale[k], r[k])
    for k in range(N_COLUMNS):
        scale[k] = np.float32(1) / scale[k]


@njit(cache=True, fastmath=True, inline="always")
def set_item_terms(st: State, p: int, terms: NDArray[np.float32]) -> None:
    """Set ``terms[LOG_CLICKS:N_TERMS]`` for the item at place ``p`` of the pool."""
    r, row = st.score[p], st.pool[p]
    count = r[COUNT]
    log_clicks, log_recent = logs_without(st, row, count * st.found[0].own_learned)
    terms[LOG_CLICKS] = log_clicks
    terms[LOG_POPULARITY] = log_recent
    for k in range(LOG_AGE, N_TERMS):
        terms[k] = 0
    if count == 0:
        age = np.float32(st.counters[0].clock - st.stats[row].last)
        terms[LOG_AGE] = np.float32(0.2) * math.log(np.float32(1) + age)
    else:
        ago = int(r[AGO])
        terms[OWN] = 1
        terms[OWN_COUNT] = count
        terms[OWN_LOG_AGO] = math.log(1.0 + ago)
        if ago < RECENT_OWN:
            terms[OWN_LAST + ago] = 1


@njit(cache=True, fastmath=True)
def set_terms(st: State, p: int) -> None:
    """Set ``st.terms[:N_TERMS]`` to the terms of the item at place ``p`` of the pool."""
    terms = st.terms
    for k in range(N_COLUMNS):
        terms[k] = st.score[p, k] * st.scale[k]
        terms[ROOT + k] = np.sqrt(terms[k])
    set_item_terms(st, p, terms)


@njit(cache=True, fastmath=True)
def _set_used_weights(st: State) -> None:
    """Copy the weights, those of columns for raw scores; what is left out gets 0."""
    used = st.used_weights
    for k in range(N_TERMS):
        left_out = st.request[0].n_left_out > 0 and st.left_out_features[k]
        used[k] = 0 if left_out else st.blend_weights[k]
    for k in range(N_COLUMNS):
        used[k] *= st.scale[k]
        used[ROOT + k] *= np.sqrt(st.scale[k])


@njit(cache=True, fastmath=True)
def score_pool(st: State) -> None:
    """Set ``st.pool_score[:n]`` to the dot products of terms and weights."""
    n = st.found[0].pool_size
    for p in range(n):
        prefetch(st.stats, st.pool[p])
    _set_scale(st, n)
    _set_used_weights(st)
    terms, weights = st.terms, st.used_weights
    for p in range(n):
        r = st.score[p]
        x = np.float32(0)
        for k in range(N_COLUMNS):
            x += weights[k] * r[k] + weights[ROOT + k] * np.sqrt(r[k])
        set_item_terms(st, p, terms)
        # Terms of the session's own items are 0 for all others.
        for k in range(LOG_CLICKS, N_TERMS if r[COUNT] > 0 else OWN):
            x += weights[k] * terms[k]
        st.pool_score[p] = x
