"""The pool of an answer: every item that a source names, with the sources' raw scores.

A sparse set: an item's row in the pool is valid if the pool says so, hence nothing is
cleared between answers.
"""

from __future__ import annotations

from numba import njit

from online_models.memory.layout import State


@njit(cache=True, inline="always")
def place_in_pool(st: State, row: int, n: int):  # type: ignore[no-untyped-def]
    """Return (pool row of an item, the pool's size); a new item gets a row of zeros."""
    p = st.items[row].pool
    if p >= n or st.pool[p] != row:
        p = n
        st.pool[n] = row
        st.items[row].pool = n
        n += 1
        r = st.score[p]
        for k in range(16):
            r[k] = 0
    return p, n


@njit(cache=True, inline="always")
def find_in_pool(st: State, row: int, n: int) -> int:
    """Pool row of an item, -1 if it is not there."""
    p = st.items[row].pool
    if p < n and st.pool[p] == row:
        return p
    return -1
