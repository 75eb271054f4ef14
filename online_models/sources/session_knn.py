"""Streaming session-kNN: an item's ring of its most recent sessions is the whole index.

The idea of VMIS-kNN (Kersbergen, Sprangers & Schelter, "Serenade", SIGMOD 2022) and
V-SKNN (Ludewig & Jannach, UMUAI 2018) made incremental: a click puts its session into
one ring. Neighbours are the sessions in the rings of the query's latest items, weighted
by idf x place x length x age; they vote for their items by distance to the match and by
what came after it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.layout import (
    AFTER,
    FLAT,
    FRESH,
    KNN,
    NEIGHBOURS,
    NEXT_SESSION,
    QUERY_LATEST,
    RING_SLABS,
    SINK,
    TOUCHED_SESSIONS,
    State,
)
from online_models.memory.slabs import give, take
from online_models.memory.top_k import top_k
from online_models.sources.pool import place_in_pool
from online_models.tables.sessions import items_of


@njit(cache=True)
def add_session(st: State, row: int, number: int) -> None:
    """Put a session into the ring of an item that it turned to for the first time."""
    it = st.items[row]
    size = RING_SLABS[it.ring_slab]
    if it.sessions >= size and it.ring_slab + 1 < len(RING_SLABS) and it.sessions == size:
        at = take(st.rings, 1, st.ring_meta, RING_SLABS, it.ring_slab + 1)
        if at >= 0:
            for i in range(size):
                st.rings[at + i] = st.rings[it.ring + i]
            if it.ring_slab > 0:
                give(st.rings, 1, st.ring_meta, it.ring_slab, it.ring)
            it.ring_slab += 1
            it.ring = at
            size = RING_SLABS[it.ring_slab]
    if size > 0:
        st.rings[it.ring + it.sessions % size] = np.int32(number)
    it.sessions += 1


@njit(cache=True, fastmath=True)
def _touch(st: State, n_query: int) -> int:
    """Collect the sessions in the rings of the query's latest items, with their similarity.

    Returns how many: slots in ``st.touched``, the place of the item that found each in
    ``st.touched_place`` (0: the latest), the sum of weights in the slot's ``sim``.
    """
    query, items, sessions, rings = st.query, st.items, st.sessions, st.rings
    mask = len(sessions) - 1
    n = 0
    used = 0
    sink = np.int64(0)
    for q in range(n_query):
        if used == QUERY_LATEST:
            break
        a = query[n_query - 1 - q]
        later = n_query - q
        while later < n_query and query[later] != a:
            later += 1
        if later < n_query or a == 0:  # a repeated item counts at its latest place
            continue
        used += 1
        it = items[a]
        size = RING_SLABS[it.ring_slab]
        filled = min(np.int64(it.sessions), size)
        idf = math.log((st.ctr[NEXT_SESSION] + 1.0) / (it.sessions + 1.0))
        w = np.float32(st.near[q] * max(idf, 0.0) + 1e-9)
        at = np.int64(it.ring)
        for i in range(filled):  # all reads at once, so that their misses overlap
            sink += sessions[rings[at + i] & mask].n
        for i in range(filled):
            slot = rings[at + i] & mask
            e = sessions[slot]
            if np.int32(e.number - 1) != rings[at + i]:
                continue
            if e.sim == 0:
                st.touched[n] = slot
                st.touched_place[n] = q
                n += 1
            e.sim += w
    st.ctr[SINK] = sink
    return n


@njit(cache=True, fastmath=True)
def _nearest(st: State, n: int, own: int) -> int:
    """Weigh the touched sessions and pick the nearest: places in ``st.order[:k]``; returns k."""
    sessions, touched, sim = st.sessions, st.touched, st.sim
    mine = 0
    for x in range(n):
        e = sessions[touched[x]]
        age = max(st.ctr[NEXT_SESSION] - e.number, 0) >> 6
        sim[x] = e.sim * e.norm * st.old[min(age, len(st.old) - 1)]
        e.sim = 0
        if e.number == own + 1:
            sim[x] = 0
            mine = 1
    st.ctr[TOUCHED_SESSIONS] = n - mine
    return top_k(sim, n, NEIGHBOURS, st.order)


@njit(cache=True, fastmath=True)
def _vote(st: State, x: int, a: int, n_pool: int) -> int:
    """Touched session ``x``, found by item ``a``, votes for its items; returns the pool's size."""
    slot = st.touched[x]
    e = st.sessions[slot]
    kept, first = items_of(st, slot)
    match = 0
    for u in range(e.n):
        if kept[first + u] == a:
            match = u
    s = st.sim[x]
    w = s * st.near[st.touched_place[x]]
    age = max(st.ctr[NEXT_SESSION] - e.number, 0) >> 3
    fresh = w * st.fresh[min(age, len(st.fresh) - 1)]
    for u in range(e.n):
        b = kept[first + u]
        if b == 0:
            continue
        p, n_pool = place_in_pool(st, b, n_pool)
        r = st.score[p]
        z = st.near[abs(u - match)]
        r[KNN] += w * z
        r[FLAT] += s
        r[FRESH] += fresh * z
        if u > match:
            r[AFTER] += w * st.after[u - match - 1]
    return n_pool


@njit(cache=True, fastmath=True)
def neighbours(st: State, n_query: int, own: int, n_pool: int) -> int:
    """Add the votes of the nearest sessions to the pool; return the pool's size.

    The query is ``st.query[:n_query]``, oldest first; session ``own`` never votes.
    """
    k = _nearest(st, _touch(st, n_query), own)
    sink = np.int64(0)
    for o in range(k):
        kept, first = items_of(st, st.touched[st.order[o]])
        sink += kept[first]
    for o in range(k):
        slot = st.touched[st.order[o]]
        kept, first = items_of(st, slot)
        for u in range(st.sessions[slot].n):
            sink += st.items[kept[first + u]].pool
    st.ctr[SINK] = sink
    for o in range(k):
        x = st.order[o]
        if st.sim[x] > 0:
            a = st.query[n_query - 1 - st.touched_place[x]]
            n_pool = _vote(st, x, a, n_pool)
    return n_pool
