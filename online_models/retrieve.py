"""Retrieval: fills the pool with what every source names for a query.

Sources: session-kNN (four readings of its votes), sequential rules, co-visits and direct
successors of the latest items, successors of the last pair, two hops of rules where the
pool is small, and the session's own items, always.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.knn import neighbours
from online_models.layout import (
    AGO,
    COUNT,
    COV,
    COV1,
    HOP_COV,
    HOP_READ,
    HOP_SEQ,
    HOPS,
    NEXT,
    PAIR,
    PAIR_SUCCESSORS,
    POOL_SIZE,
    RULE_ITEMS,
    RULE_READ,
    RULE_SLABS,
    SEQ,
    SEQ1,
    SINK,
    SMALL_POOL,
    State,
)
from online_models.pool import find_in_pool, place_in_pool
from online_models.rules import pair_slot


@njit(cache=True, fastmath=True)
def follow(st: State, a: int, w: float, n: int, limit: int, seq: int, cov: int) -> int:
    """Add the first rules of item ``a`` to the columns ``seq`` and ``cov``.

    Sequential weights as shares of all that left ``a``, co-visits as a damped cosine,
    both times ``w``. Returns the pool's size.
    """
    items = st.items
    it = items[a]
    size = min(limit, RULE_SLABS[it.rules_slab])
    at = np.int64(it.rules)
    sink = np.int64(0)
    for c in range(size):
        sink += items[st.rules[at + c].item].pool
    st.ctr[SINK] = sink
    f_seq = np.float32(w) / (it.seq_sum + np.float32(2))
    f_cov = np.float32(w) * it.damp
    for c in range(size):
        e = st.rules[at + c]
        if e.item == 0:
            break
        p, n = place_in_pool(st, e.item, n)
        st.score[p, seq] += f_seq * e.seq
        st.score[p, cov] += f_cov * e.cov * items[e.item].damp
    return n


@njit(cache=True, fastmath=True)
def _last_item(st: State, a: int, n: int) -> int:
    """Columns of the last item alone, right after its rules were followed."""
    it = st.items[a]
    size = min(RULE_READ, RULE_SLABS[it.rules_slab])
    f = np.float32(1) / (it.next_sum + np.float32(2))
    for c in range(size):
        e = st.rules[it.rules + c]
        if e.item == 0:
            break
        r = st.score[find_in_pool(st, e.item, n)]
        r[SEQ1] = r[SEQ]
        r[COV1] = r[COV]
        r[NEXT] = f * e.next
    return n


@njit(cache=True, fastmath=True)
def _pair(st: State, a: int, b: int, n: int) -> int:
    slot, key = pair_slot(st, a, b)
    p = st.pairs[slot]
    if p.key != key:
        return n
    total = np.float32(1)
    for c in range(PAIR_SUCCESSORS):
        total += p.weights[c]
    for c in range(PAIR_SUCCESSORS):
        if p.items[c] != 0:
            r, n = place_in_pool(st, p.items[c], n)
            st.score[r, PAIR] = p.weights[c] / total
    return n


@njit(cache=True, fastmath=True)
def _two_hops(st: State, a: int, w: float, n: int) -> int:
    """Follow the best rules of the items that item ``a`` leads to."""
    it = st.items[a]
    size = min(RULE_READ, RULE_SLABS[it.rules_slab])
    at = np.int64(it.rules)
    total = np.float32(2)
    filled = 0
    while filled < size and st.rules[at + filled].item != 0:
        total += st.rules[at + filled].cov
        filled += 1
    for h in range(min(filled, HOPS)):
        e = st.rules[at + h]
        n = follow(st, e.item, np.float32(w) * e.cov / total, n, HOP_READ, HOP_SEQ, HOP_COV)
    return n


@njit(cache=True, fastmath=True)
def retrieve(st: State, n_query: int, own: int) -> int:
    """Fill the pool for ``st.query[:n_query]`` (oldest first) of session ``own``.

    Returns the pool's size, at most `layout.POOL`. Rows ``st.pool[:n]``, raw scores
    ``st.score[:n]``.
    """
    query = st.query
    n = neighbours(st, n_query, own, 0)
    for q in range(min(n_query, RULE_ITEMS)):
        a = query[n_query - 1 - q]
        if a != 0:
            n = follow(st, a, 0.5**q, n, RULE_READ, SEQ, COV)
            if q == 0:
                n = _last_item(st, a, n)
    if n_query > 1 and query[n_query - 1] != 0 and query[n_query - 2] != 0:
        n = _pair(st, query[n_query - 2], query[n_query - 1], n)
    for u in range(n_query):
        if query[u] != 0:
            p, n = place_in_pool(st, query[u], n)
            st.score[p, COUNT] += 1
            st.score[p, AGO] = n_query - 1 - u
    for q in range(min(n_query, 2)):
        if query[n_query - 1 - q] != 0 and n < SMALL_POOL:
            n = _two_hops(st, query[n_query - 1 - q], 0.5**q, n)
    st.ctr[POOL_SIZE] = n
    return n
