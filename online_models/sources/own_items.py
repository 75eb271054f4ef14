"""The session's own items: visitors return to them often, so they are always in the pool."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.sources.pool import place_in_pool
from online_models.sources.source import Source
from online_models.tables.sessions import MAX_KEPT

COUNT, AGO = range(2)
"""Facts: how often the item occurs in the query, and how many steps ago it last did."""


@njit(cache=True, fastmath=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Put the items of the query into the pool."""
    n_query, n = st.request[0].n_query, st.found[0].pool_size
    for u in range(n_query):
        if st.query[u] != 0:
            p, n = place_in_pool(st, st.query[u], n)
            st.score[p, fact + COUNT] += 1
            st.score[p, fact + AGO] = n_query - 1 - u
    st.found[0].pool_size = n


SOURCE = Source(
    "the session's own items",
    facts=("count", "ago"),
    names_at_most=MAX_KEPT,
    retrieve=_retrieve,
)
