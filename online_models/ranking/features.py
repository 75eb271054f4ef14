"""Features of candidates: what the ranker sees, by name.

The first `N_WEIGHTS` are those of the blend (`blend.features`): a linear model over them
picks the candidates out of the pool. `SCHEMA` names the version of the list: weights that
were learned under another one do not fit.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import (
    AFTER,
    AGO,
    CANDIDATES,
    COUNT,
    COV,
    COV2,
    DIMENSIONS,
    FLAT,
    FRESH,
    HOP_SEQ,
    KNN,
    N_CANDIDATES,
    N_LEFT_OUT,
    NEXT,
    OWN_LEARNED,
    PAIR,
    POOL_SIZE,
    SEQ,
    SEQ2,
    SINK,
    SOURCES,
    TOUCHED_SESSIONS,
    State,
)
from online_models.ranking.blend import N_WEIGHTS, features
from online_models.ranking.content_match import N_CONTENT, content_features
from online_models.sources.pool import find_in_pool
from online_models.sources.popularity import log_trend
from online_models.tables.click_times import N_MOMENT
from online_models.vectors.two_towers import session_vector

_SOURCES = (
    "knn", "after", "flat", "fresh", "seq", "cov", "next", "seq1", "cov1", "pair", "hop_seq",
    "hop_cov",
)  # fmt: skip
NAMES = (
    *_SOURCES,
    *(f"root_{name}" for name in _SOURCES),
    *("log_clicks", "log_popularity", "log_age"),
    *("own", "own_count", "own_log_ago", "own_last", "own_second", "own_third"),
    *("vector_session", "vector_last", "vector_raw"),
    *("log_knn", "log_seq", "log_cov", "log_after", "log_flat", "log_fresh", "log_hop_seq"),
    *("place", "score", "share", "raw_next", "raw_pair", "log_trend"),
    *("session_log_length", "session_one", "session_two", "session_repeats"),
    *("log_neighbours", "log_last_sessions", "log_pool"),
    *("log_gap", "hour_sine", "hour_cosine"),
    *("category_share", "category_last", "content_last", "raw_seq2", "raw_cov2"),
)
N_FEATURES = len(NAMES)
TRANSFORMS = 2
"""Number of what the names stand for; grows when one is computed in another way."""

SCHEMA = hashlib.blake2b(f"{TRANSFORMS},{','.join(NAMES)}".encode(), digest_size=4).hexdigest()

V_SESSION, V_LAST, V_RAW = (NAMES.index(f"vector_{n}") for n in ("session", "last", "raw"))
LOGS = NAMES.index("log_knn")
PLACE, SCORE, SHARE = (NAMES.index(n) for n in ("place", "score", "share"))
RAW_NEXT, RAW_PAIR, TREND = (NAMES.index(n) for n in ("raw_next", "raw_pair", "log_trend"))
SESSION, MOMENT = NAMES.index("session_log_length"), NAMES.index("log_gap")
CONTENT = NAMES.index("category_share")
RAW_SEQ2, RAW_COV2 = NAMES.index("raw_seq2"), NAMES.index("raw_cov2")
assert V_SESSION == N_WEIGHTS
assert N_FEATURES % 4 == 0, "the ranker's kernel takes four inputs at a time"
assert N_FEATURES <= 64
assert CONTENT == MOMENT + N_MOMENT
assert N_FEATURES >= CONTENT + N_CONTENT

FAMILIES = {
    "popularity": ("log_clicks", "log_popularity", "log_age", "log_trend"),
    "own items": ("own", "own_count", "own_log_ago", "own_last", "own_second", "own_third"),
    "vectors": ("vector_session", "vector_last", "vector_raw"),
    "logs of scores": NAMES[LOGS : LOGS + 7],
    "the blend's order": ("place", "score", "share"),
    "single links": ("raw_next", "raw_pair", "raw_seq2", "raw_cov2"),
    "session's shape": NAMES[SESSION : SESSION + 7],
    "time": ("log_gap", "hour_sine", "hour_cosine"),
    "content": ("category_share", "category_last", "content_last"),
}
"""Features beside the sources' scores, by what they say."""

_LOGGED = np.array([KNN, SEQ, COV, AFTER, FLAT, FRESH, HOP_SEQ], np.int64)


@njit(cache=True, fastmath=True)
def _shape(st: State, n_query: int, one: NDArray[np.float32]) -> None:
    """Set ``one[:7]`` to the features of the session as a whole."""
    repeats = 0
    for u in range(n_query):
        if st.query[u] != 0:
            r = st.score[find_in_pool(st, st.query[u], st.ctr[POOL_SIZE])]
            repeats += r[AGO] != n_query - 1 - u
    one[0] = math.log(n_query)
    one[1] = n_query == 1
    one[2] = n_query == 2
    one[3] = repeats / n_query
    one[4] = math.log(1.0 + st.ctr[TOUCHED_SESSIONS])
    one[5] = math.log(1.0 + st.items[st.query[n_query - 1]].sessions)
    one[6] = math.log(1.0 + st.ctr[POOL_SIZE])


@njit(cache=True)
def _blank(st: State, n: int) -> None:
    """Set to 0 what is left out, and the places behind the ``n`` candidates."""
    x = st.features
    if st.ctr[N_LEFT_OUT] > 0:
        for k in range(N_FEATURES):
            if st.left_out[SOURCES + k]:
                x[k, :n] = 0
    for k in range(N_FEATURES):
        for i in range(n, CANDIDATES):
            x[k, i] = 0


@njit(cache=True)
def _read_vectors(st: State, n: int) -> None:
    """Read the candidates' vectors at once, so that their misses overlap."""
    words = st.vectors_out.view(np.int32)
    sink = np.int64(0)
    for i in range(n):
        row = st.pool[st.candidates[i]]
        for d in range(0, DIMENSIONS, 16):
            sink += words[row, d]
    st.ctr[SINK] = sink


@njit(cache=True, fastmath=True)
def candidate_features(st: State, n: int, n_query: int) -> None:
    """Fill ``st.features[:, :n]`` for the candidates ``st.candidates[:n]`` (pool rows, best first).

    ``st.pool_score`` holds the scores that picked them; the query is ``st.query[:n_query]``.
    """
    x, h, hl, one = st.features, st.hidden[0], st.hidden[1], st.hidden[3]
    _read_vectors(st, n)
    session_vector(st.vectors_in, st.query, 0, n_query, h)
    last = st.query[n_query - 1]
    hl[:DIMENSIONS] = st.vectors_in[last]
    top = st.pool_score[st.candidates[0]]
    best_h = np.float32(-1e30)
    best_l = np.float32(-1e30)
    with_vectors = not st.left_out[SOURCES + V_SESSION]
    for i in range(n):
        p = st.candidates[i]
        row = st.pool[p]
        r = st.score[p]
        features(st, p, one)
        for k in range(N_WEIGHTS):
            x[k, i] = one[k]
        e = st.vectors_out[row]
        a = np.float32(0)
        b = np.float32(0)
        if with_vectors:
            for d in range(DIMENSIONS):
                a += h[d] * e[d]
                b += hl[d] * e[d]
        x[V_SESSION, i] = a
        x[V_LAST, i] = b
        x[V_RAW, i] = a
        best_h = max(best_h, a)
        best_l = max(best_l, b)
        for k in range(len(_LOGGED)):
            x[LOGS + k, i] = math.log(r[_LOGGED[k]] + np.float32(1e-4))
        x[PLACE, i] = np.float32(1) / (i + 1)
        x[SCORE, i] = st.pool_score[p] - top
        x[SHARE, i] = math.exp(st.pool_score[p] - top)
        x[RAW_NEXT, i] = r[NEXT]
        x[RAW_PAIR, i] = r[PAIR]
        x[RAW_SEQ2, i] = r[SEQ2]
        x[RAW_COV2, i] = r[COV2]
        x[TREND, i] = log_trend(st, row, r[COUNT] * st.ctr[OWN_LEARNED])
    for i in range(n):
        x[V_SESSION, i] -= best_h
        x[V_LAST, i] -= best_l
    _shape(st, n_query, one)
    for k in range(MOMENT - SESSION):
        x[SESSION + k, :n] = one[k]
    for k in range(N_MOMENT):
        x[MOMENT + k, :n] = st.moment[k]
    if not st.left_out[SOURCES + CONTENT]:
        content_features(st, n, n_query, CONTENT)
    _blank(st, n)
    st.ctr[N_CANDIDATES] = n
