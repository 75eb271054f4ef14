"""How an item's categories and tokens match those of the session."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import CATALOGUE

SHARES = 4_096
"""Places for the shares of a session's categories; further categories share places."""

ROWS = 3
"""Number of features in the family."""


@njit(cache=True, inline="always")
def _among(number: int, numbers: NDArray[np.int32]):  # type: ignore[no-untyped-def]
    found = np.float32(0)
    for other in numbers:
        if other == number:
            found = np.float32(1)
    return found


@njit(cache=True, fastmath=True)
def _add_shares(st: State, n_query: int, part: float) -> bool:
    """Add ``part`` to the share of each category of the query's items; False if they have none."""
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
def _fill(st: State, first: int) -> None:
    n, n_query = st.found[0].candidates, st.request[0].n_query
    st.features[first : first + ROWS, :n] = 0
    last = st.query[n_query - 1]
    if _add_shares(st, n_query, 1.0 / n_query):
        _match_categories(st, n, st.categories[last], first)
        for u in range(n_query):
            for c in st.categories[st.query[u]]:
                st.shares[c & (SHARES - 1)] = 0
    if st.item_tokens[last, 0] != 0:
        _match_tokens(st, n, st.item_tokens[last], first)


FEATURES = (
    Feature(
        "category_share",
        "content",
        "largest share of the session's items that are in one of its categories",
        "share 0..1",
        CATALOGUE,
    ),
    Feature(
        "category_last",
        "content",
        "1 if it shares a category with the last item",
        "0 or 1",
        CATALOGUE,
    ),
    Feature(
        "content_last",
        "content",
        "share of the last item's words and attributes that it has as well",
        "share 0..1",
        CATALOGUE,
    ),
)
"""All are 0 without a catalogue."""

FAMILY = Family(FEATURES, _fill, tables=(Table("shares", np.float32, (SHARES,)),))
