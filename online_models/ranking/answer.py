"""Answers: the best of the pool that a filter lets pass, the page filled with what is popular."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import (
    DELETED,
    MAX_CATEGORIES,
    N_LONG,
    N_SHORT,
    REQUEST,
    ROWS,
    UNAVAILABLE,
    State,
)
from online_models.memory.top_k import sort_places, top_k
from online_models.ranking.blend import blend
from online_models.sources.popularity import trend
from online_models.sources.retrieve import retrieve

EXCLUDED_SCORE = np.float32(-1e30)
NEAREST_SCORE = np.float32(-50)
"""Below every score of a ranking: items that are only near to the session's."""

FILL_SCORE = np.float32(-100)
"""Below every score of the blend: items that only fill the page."""


@njit(cache=True)
def allowed(st: State, row: int, n_categories: int, unavailable: bool, marked: bool) -> bool:
    """Whether the running filter lets an item pass."""
    flags = st.stats[row].flags
    if flags & DELETED or (flags & UNAVAILABLE and not unavailable):
        return False
    if marked and st.marks[row] == np.int32(st.ctr[REQUEST]):
        return False
    if n_categories == 0:
        return True
    own = st.categories[row]
    for i in range(MAX_CATEGORIES):
        if own[i] == 0:
            return False
        for j in range(n_categories):
            if own[i] == st.filter_categories[j]:
                return True
    return False


@njit(cache=True)
def fill(st: State, n: int, k: int, n_categories: int, unavailable: bool, marked: bool) -> int:
    """Fill the answer up to ``k`` items with popular ones; returns its length.

    First along the list of the most popular items; if these do not suffice, through all
    items, most popular first. Items already in the answer are marked, so this needs
    `REQUEST` to be this answer's number.
    """
    request = np.int32(st.ctr[REQUEST])
    for i in range(n):
        st.marks[st.answer[i]] = request
    for i in range(st.ctr[N_LONG]):
        if n == k:
            return n
        row = st.popular_long[i]
        if allowed(st, row, n_categories, unavailable, True):
            st.answer[n] = row
            st.answer_score[n] = FILL_SCORE - n
            st.marks[row] = request
            n += 1
    if n == k:
        return n
    # A heap of the best k - n of all rows, its worst on top.
    first = n
    for row in range(1, st.ctr[ROWS] + 1):
        if not allowed(st, row, n_categories, unavailable, True):
            continue
        if n < k:
            st.answer[n] = row
            n += 1
            i = n - 1 - first
            while i > 0 and _rarer(st, st.answer[first + i], st.answer[first + (i - 1) // 2]):
                up = (i - 1) // 2
                x = st.answer[first + i]
                st.answer[first + i] = st.answer[first + up]
                st.answer[first + up] = x
                i = up
        elif _rarer(st, st.answer[first], row):
            st.answer[first] = row
            _sink(st, first, n - first)
    for end in range(n - first - 1, 0, -1):
        x = st.answer[first + end]
        st.answer[first + end] = st.answer[first]
        st.answer[first] = x
        _sink(st, first, end)
    for i in range(first, n):
        st.answer_score[i] = FILL_SCORE - i
    return n


@njit(cache=True, inline="always")
def _rarer(st: State, a: int, b: int) -> bool:
    """Whether item ``a`` is less popular than item ``b`` (ties: the younger row is)."""
    x, y = st.stats[a], st.stats[b]
    if x.clicks == 0 or y.clicks == 0:
        return (x.clicks, -a) < (y.clicks, -b)
    return (x.long, -a) < (y.long, -b)


@njit(cache=True)
def _sink(st: State, first: int, n: int) -> None:
    i = 0
    while True:
        c = 2 * i + 1
        if c >= n:
            return
        if c + 1 < n and _rarer(st, st.answer[first + c + 1], st.answer[first + c]):
            c += 1
        if not _rarer(st, st.answer[first + c], st.answer[first + i]):
            return
        x = st.answer[first + c]
        st.answer[first + c] = st.answer[first + i]
        st.answer[first + i] = x
        i = c


@njit(cache=True)
def recommend(
    st: State, n_query: int, own: int, k: int, n_categories: int, unavailable: bool, marked: bool
) -> int:
    """Answer ``st.query[:n_query]``: rows in ``st.answer``, scores in ``st.answer_score``.

    Returns their number: ``k``, or all items that the filter lets pass.
    """
    n = retrieve(st, n_query, own) if n_query > 0 else 0
    blend(st, n)
    for p in range(n):
        if not allowed(st, st.pool[p], n_categories, unavailable, marked):
            st.pool_score[p] = EXCLUDED_SCORE
    m = top_k(st.pool_score, n, k, st.order)
    sort_places(st, st.pool_score, st.order, m)
    out = 0
    for i in range(m):
        p = st.order[i]
        if st.pool_score[p] > EXCLUDED_SCORE:
            st.answer[out] = st.pool[p]
            st.answer_score[out] = st.pool_score[p]
            out += 1
    if out < k:
        out = fill(st, out, k, n_categories, unavailable, marked)
    return out


@njit(cache=True)
def trending(st: State, k: int, n_categories: int, unavailable: bool, marked: bool) -> int:
    """Answer with the items whose short-term popularity outgrows the long-term one most."""
    n = 0
    for i in range(st.ctr[N_SHORT]):
        row = st.popular_short[i]
        if allowed(st, row, n_categories, unavailable, marked):
            st.order[n] = n
            st.touched[n] = row
            st.sim[n] = trend(st, row)
            n += 1
    m = top_k(st.sim, n, k, st.order)
    sort_places(st, st.sim, st.order, m)
    for i in range(m):
        st.answer[i] = st.touched[st.order[i]]
        st.answer_score[i] = st.sim[st.order[i]]
    if m < k:
        m = fill(st, m, k, n_categories, unavailable, marked)
    return m


@njit(cache=True)
def fill_with(
    st: State,
    n: int,
    k: int,
    rows: NDArray[np.int64],
    n_categories: int,
    unavailable: bool,
    marked: bool,
) -> int:
    """Fill the answer from ``n`` items up to ``k`` with the given rows in order, then as `fill`."""
    request = np.int32(st.ctr[REQUEST])
    for i in range(n):
        st.marks[st.answer[i]] = request
    for i in range(len(rows)):
        if n == k:
            return n
        row = rows[i]
        if allowed(st, row, n_categories, unavailable, True):
            st.answer[n] = row
            st.answer_score[n] = NEAREST_SCORE - np.float32(0.05) * n
            st.marks[row] = request
            n += 1
    return fill(st, n, k, n_categories, unavailable, marked) if n < k else n
