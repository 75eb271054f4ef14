"""Retrieval: fills the pool with what every source names for a query.

Sources: session-kNN (four readings of its votes), sequential rules, co-visits and direct
successors of the latest items, successors of the last pair, two hops of rules where the
pool is small, and the session's own items, always.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.layout import (
    AFTER,
    AGO,
    COUNT,
    COV,
    COV1,
    COV2,
    FLAT,
    FRESH,
    HOP_COV,
    HOP_READ,
    HOP_SEQ,
    HOPS,
    KNN,
    N_LEFT_OUT,
    NEXT,
    OWN_LEARNED,
    PAIR,
    PAIR_SUCCESSORS,
    POOL_SIZE,
    RULE_ITEMS,
    RULE_READ,
    RULE_SLABS,
    RULE_WINDOW,
    SEQ,
    SEQ1,
    SEQ2,
    SINK,
    SMALL_POOL,
    SOURCES,
    State,
)
from online_models.sources.pool import find_in_pool, place_in_pool
from online_models.sources.rules import pair_slot
from online_models.sources.session_knn import neighbours
from online_models.tables.sessions import items_of

OWN_SEQ, OWN_NEXT = 0, 1
"""Places in ``State.own_links``."""


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
    f_seq = np.float32(w) / (it.seq_sum - st.own_links[OWN_SEQ] + np.float32(2))
    f_cov = np.float32(w) * it.damp
    for c in range(size):
        e = st.rules[at + c]
        if e.item == 0:
            break
        p, n = place_in_pool(st, e.item, n)
        st.score[p, seq] += f_seq * e.seq
        st.score[p, cov] += f_cov * e.cov * items[e.item].damp
    return n


@njit(cache=True, inline="always")
def _own_steps(st: State, own: int):  # type: ignore[no-untyped-def]
    """Return (array, first index, length) of what was learned of the session being answered."""
    slot = max(own, 0) & (len(st.sessions) - 1)
    kept, first = items_of(st, slot)
    e = st.sessions[slot]
    return kept, first, (np.int64(e.n) if e.number == own + 1 else np.int64(0))


@njit(cache=True, fastmath=True)
def _sum_own_links(st: State, own: int, a: int) -> None:
    """Sum up what the session being answered has itself added to the rules of item ``a``."""
    kept, first, n = _own_steps(st, own)
    seq = np.float32(0)
    direct = np.float32(0)
    for i in range(n):
        if kept[first + i] != a:
            continue
        for j in range(i + 1, min(n, i + 1 + RULE_WINDOW)):
            b = kept[first + j]
            if b != 0 and b != a:
                seq += np.float32(1) / (j - i)
            if b != 0 and j == i + 1:
                direct += np.float32(1)
    st.own_links[OWN_SEQ] = seq
    st.own_links[OWN_NEXT] = direct


@njit(cache=True, fastmath=True)
def _leave_own_out(st: State, own: int, a: int, w: float, n_pool: int) -> None:
    """Take the session's own links out of the scores that item ``a`` gave.

    A session is never its own witness: otherwise its items would score for having been
    seen together here, which says nothing about what comes next.
    """
    kept, first, n = _own_steps(st, own)
    it = st.items[a]
    f_seq = np.float32(w) / (it.seq_sum - st.own_links[OWN_SEQ] + np.float32(2))
    f_cov = np.float32(w) * it.damp
    for i in range(n):
        if kept[first + i] != a:
            continue
        for j in range(max(0, i - RULE_WINDOW), min(n, i + 1 + RULE_WINDOW)):
            b = kept[first + j]
            if b == 0 or b == a:
                continue
            p = find_in_pool(st, b, n_pool)
            if p < 0:
                continue
            r = st.score[p]
            if j > i:
                r[SEQ] = max(r[SEQ] - f_seq / np.float32(j - i), np.float32(0))
            r[COV] = max(r[COV] - f_cov * st.items[b].damp, np.float32(0))


@njit(cache=True, fastmath=True)
def _last_item(st: State, own: int, a: int, n: int) -> None:
    """Columns of the last item alone, right after its rules were followed."""
    it = st.items[a]
    size = min(RULE_READ, RULE_SLABS[it.rules_slab])
    f = np.float32(1) / (it.next_sum - st.own_links[OWN_NEXT] + np.float32(2))
    for c in range(size):
        e = st.rules[it.rules + c]
        if e.item == 0:
            break
        r = st.score[find_in_pool(st, e.item, n)]
        r[SEQ1] = r[SEQ]
        r[COV1] = r[COV]
        r[NEXT] = f * e.next
    kept, first, m = _own_steps(st, own)
    for i in range(m - 1):
        if kept[first + i] == a and kept[first + i + 1] != 0:
            p = find_in_pool(st, kept[first + i + 1], n)
            if p >= 0:
                st.score[p, NEXT] = max(st.score[p, NEXT] - f, np.float32(0))


@njit(cache=True, fastmath=True)
def _second_item(st: State, a: int, n: int) -> None:
    """Columns of the item before the last alone, right after its rules were followed."""
    it = st.items[a]
    for c in range(min(RULE_READ, RULE_SLABS[it.rules_slab])):
        e = st.rules[it.rules + c]
        if e.item == 0:
            break
        r = st.score[find_in_pool(st, e.item, n)]
        r[SEQ2] = np.float32(2) * (r[SEQ] - r[SEQ1])
        r[COV2] = np.float32(2) * (r[COV] - r[COV1])


@njit(cache=True, fastmath=True)
def _pair(st: State, own: int, a: int, b: int, n: int) -> int:
    slot, key = pair_slot(st, a, b)
    p = st.pairs[slot]
    if p.key != key:
        return n
    total = np.float32(1)
    for c in range(PAIR_SUCCESSORS):
        total += p.weights[c]
    kept, first, m = _own_steps(st, own)
    for c in range(PAIR_SUCCESSORS):
        if p.items[c] == 0:
            continue
        w = p.weights[c]
        for i in range(m - 2):
            own_pair = kept[first + i] == a and kept[first + i + 1] == b
            if own_pair and kept[first + i + 2] == p.items[c]:
                w -= np.float32(1)
        if w > 0:
            r, n = place_in_pool(st, p.items[c], n)
            st.score[r, PAIR] = w / total
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
def _rules(st: State, n_query: int, own: int, n: int) -> int:
    """Follow the rules of the latest items."""
    for q in range(min(n_query, RULE_ITEMS)):
        a = st.query[n_query - 1 - q]
        if a != 0:
            _sum_own_links(st, own, a)
            n = follow(st, a, 0.5**q, n, RULE_READ, SEQ, COV)
            _leave_own_out(st, own, a, 0.5**q, n)
            if q == 0:
                _last_item(st, own, a, n)
            elif q == 1:
                _second_item(st, a, n)
    st.own_links[:] = 0
    return n


@njit(cache=True)
def _blank(st: State, n: int) -> None:
    """Set to 0 the columns that are left out."""
    for p in range(n):
        for k in range(SOURCES):
            if st.left_out[k]:
                st.score[p, k] = 0


@njit(cache=True, fastmath=True)
def retrieve(st: State, n_query: int, own: int) -> int:
    """Fill the pool for ``st.query[:n_query]`` (oldest first) of session ``own``.

    Returns the pool's size, at most `layout.POOL`. Rows ``st.pool[:n]``, raw scores
    ``st.score[:n]``.
    """
    query, out = st.query, st.left_out
    n = 0
    if not (out[KNN] and out[AFTER] and out[FLAT] and out[FRESH]):
        n = neighbours(st, n_query, own, 0)
    if not (out[SEQ] and out[COV] and out[SEQ1] and out[COV1] and out[NEXT]):
        n = _rules(st, n_query, own, n)
    if not out[PAIR] and n_query > 1 and query[n_query - 1] != 0 and query[n_query - 2] != 0:
        n = _pair(st, own, query[n_query - 2], query[n_query - 1], n)
    for u in range(n_query):
        if query[u] != 0:
            p, n = place_in_pool(st, query[u], n)
            st.score[p, COUNT] += 1
            st.score[p, AGO] = n_query - 1 - u
    for q in range(0 if out[HOP_SEQ] and out[HOP_COV] else min(n_query, 2)):
        if query[n_query - 1 - q] != 0 and n < SMALL_POOL:
            n = _two_hops(st, query[n_query - 1 - q], 0.5**q, n)
    if st.ctr[N_LEFT_OUT] > 0:
        _blank(st, n)
    st.ctr[POOL_SIZE] = n
    st.ctr[OWN_LEARNED] = own >= 0
    return n
