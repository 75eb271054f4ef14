"""The pool of an answer: every item that a source has found, with the sources' raw scores.

    st.pool[p]     row of the item at place p, for p < st.found[0].pool_size
    st.score[p]    | columns of the first source | of the second | ... | facts | unused |
                   a whole number of cache lines (16 floats each)

It is a sparse set (Briggs & Torczon, 1993): ``st.items[row].pool`` is the item's place only if the
pool has the item there, so nothing needs to be cleared between answers.

The place behind the last one takes what is found beyond the size of the pool: nobody reads it.
"""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State

LINE = 16
"""Floats of a cache line."""


@njit(cache=True, inline="always")
def place_in_pool(st: State, row: int, n: int):  # type: ignore[no-untyped-def]
    """Return (place of an item in the pool, the pool's size); a new item gets zero scores.

    Once the pool is full, all new items get the place behind the last one.
    """
    p = st.items[row].pool
    if p >= n or st.pool[p] != row:
        p = n
        st.pool[n] = row
        st.items[row].pool = n
        n = min(n + 1, len(st.pool) - 1)
        r = st.score[p]
        for first in range(0, len(r), LINE):
            for k in range(LINE):
                r[first + k] = 0
    return p, n


@njit(cache=True, inline="always")
def find_in_pool(st: State, row: int, n: int) -> int:
    """Return the place of an item in the pool of size ``n``, -1 if it is not in it."""
    p = st.items[row].pool
    if p < n and st.pool[p] == row:
        return p
    return -1
