"""How an item's content matches a session's: categories and tokens, as features for the ranker."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import SHARES, State

N_CONTENT = 3


@njit(cache=True, inline="always")
def _among(number: int, numbers: NDArray[np.int32]):  # type: ignore[no-untyped-def]
    found = np.float32(0)
    for other in numbers:
        if other == number:
            found = np.float32(1)
    return found


@njit(cache=True, fastmath=True)
def _add_shares(st: State, n_query: int, part: float) -> bool:
    """Add ``part`` to the share of each category of the query's items; False if there is none."""
    known = False
    for u in range(n_query):
        for c in st.categories[st.query[u]]:
            if c == 0:
                break
            st.shares[c & (SHARES - 1)] += np.float32(part)
            known = True
    return known


@njit(cache=True, fastmath=True)
def _match_categories(st: State, n: int, last: NDArray[np.int32], first: int) -> None:
    x = st.features
    for i in range(n):
        for c in st.categories[st.pool[st.candidates[i]]]:
            if c == 0:
                break
            x[first, i] = max(x[first, i], st.shares[c & (SHARES - 1)])
            x[first + 1, i] = max(x[first + 1, i], _among(c, last))


@njit(cache=True, fastmath=True)
def _match_tokens(st: State, n: int, last: NDArray[np.int32], first: int) -> None:
    size = np.float32(0)
    for t in last:
        size += t != 0
    for i in range(n):
        same = np.float32(0)
        for t in st.item_tokens[st.pool[st.candidates[i]]]:
            if t == 0:
                break
            same += _among(t, last)
        st.features[first + 2, i] = same / size


@njit(cache=True, fastmath=True)
def content_features(st: State, n: int, n_query: int, first: int) -> None:
    """Fill rows ``first`` to ``first + 2`` of ``st.features[:, :n]`` for the candidates.

    Share of the session's items in the category that the item shares with most of them; whether it
    shares one with the last item; share of the last item's tokens that it has. All 0 where there
    is no catalogue.
    """
    st.features[first : first + N_CONTENT, :n] = 0
    last = st.query[n_query - 1]
    if _add_shares(st, n_query, 1.0 / n_query):
        _match_categories(st, n, st.categories[last], first)
        for u in range(n_query):
            for c in st.categories[st.query[u]]:
                st.shares[c & (SHARES - 1)] = 0
    if st.item_tokens[last, 0] != 0:
        _match_tokens(st, n, st.item_tokens[last], first)
