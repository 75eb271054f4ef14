"""Streaming session-kNN: the only index is, per item, a ring of the latest sessions with it.

The idea of VMIS-kNN (Kersbergen, Sprangers & Schelter, "Serenade", SIGMOD 2022) and
V-SKNN (Ludewig & Jannach, UMUAI 2018) made incremental: a click adds its session to one
ring. Neighbours are the sessions in the rings of the query's latest items, weighted by
idf x place x length x age. They vote for their items, by the distance to the match and by
whether an item came after it.

    st.items[a].ring --> | session | session | ... |   a ring of 8, 32, 128 or 512 numbers;
                           the next goes to place st.items[a].sessions % size
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.prefetch import prefetch
from online_models.memory.slabs import give, give_rest, longer_list, meta_table, take
from online_models.memory.state import State
from online_models.memory.table import Forget, Kept, Lists, Table
from online_models.memory.top_k import top_k
from online_models.sources.pool import place_in_pool
from online_models.sources.source import Column, Source
from online_models.tables.sessions import MAX_KEPT, items_of

RING_SLABS = np.array([0, 8, 32, 128, 512], np.int64)

QUERY_LATEST = 8
"""Neighbours are looked up by this many latest different items of a session."""

NEIGHBOURS = 100
"""Most similar sessions that vote."""

TOUCHED = QUERY_LATEST * int(RING_SLABS[-1])
"""The most sessions in the rings of one query."""

DECAY_PLACE, DECAY_AFTER = 3.0, 1.5
"""Decay by place in a session and after a match, in steps."""

DECAY_AGE, DECAY_RECENT = 20_000.0, 1_000.0
"""Decay by age of a session, in sessions: slow for all votes, fast for those of recent ones."""

AGE_STEP, RECENT_STEP = 6, 3
"""Ages are looked up in steps of 2 to the power of these."""


def _decay(entries: int, step: float, decay: float) -> NDArray[np.float32]:
    return np.exp(-np.arange(entries) * step / decay).astype(np.float32)


PLACE_WEIGHT = _decay(512, 1, DECAY_PLACE)
AFTER_WEIGHT = _decay(512, 1, DECAY_AFTER)
AGE_WEIGHT = _decay(4_096, 1 << AGE_STEP, DECAY_AGE)
RECENT_WEIGHT = _decay(1_024, 1 << RECENT_STEP, DECAY_RECENT)

PLACE, AFTER, UNDECAYED, RECENT = range(4)
"""Columns: votes weighted by distance to the match; only for items after it; unweighted; and those
of recent sessions."""


def _ring_entries(limits: Limits) -> int:
    return limits.rows * limits.ring_per_item


@njit(cache=True)
def _forget(st: State, row: int) -> None:
    """Free the ring of an item that leaves; rings name sessions, not items."""
    it = st.items[row]
    if st.becomes[row] == 0 and it.ring_slab > 0:
        give(st.rings, 1, st.rings_meta, it.ring_slab, it.ring)
        it.ring_slab = 0


def _shorten(rings: NDArray[Any], items: NDArray[Any], size: int) -> NDArray[Any]:
    """Keep the latest sessions of rings, each where the ring goes on."""
    latest = np.zeros((len(rings), size), rings.dtype)
    for ago in range(1, size + 1):
        turn = items["sessions"].astype(np.int64) - ago
        has = np.flatnonzero(turn >= 0)
        latest[has, turn[has] % size] = rings[has, turn[has] % rings.shape[1]]
    return latest


RINGS = Table(
    "rings",
    np.int32,
    (_ring_entries,),
    Kept.ARENA,
    forget=Forget(_forget, places="items"),
    lists=Lists("items", "ring", "ring_slab", RING_SLABS, _shorten),
)


@njit(cache=True)
def _shorten_ring(st: State, row: int) -> None:
    """Cut a ring to the next smaller size, at the start of its slab: the latest sessions stay."""
    it = st.items[row]
    n, at = np.int64(it.sessions), np.int64(it.ring)
    size, smaller = RING_SLABS[it.ring_slab], RING_SLABS[it.ring_slab - 1]
    for ago in range(1, smaller + 1):
        st.touched_slots[(n - ago) % smaller] = st.rings[at + (n - ago) % size]
    for i in range(smaller):
        st.rings[at + i] = st.touched_slots[i]
    it.ring_slab -= 1
    give_rest(st.rings, 1, st.rings_meta, RING_SLABS, it.ring_slab, at, size)


@njit(cache=True)
def _larger_slab(st: State, slab: int) -> int:
    """Return the place of a slab, if need be at the cost of a longer ring; -1 if there is none."""
    at = take(st.rings, 1, st.rings_meta, RING_SLABS, slab)
    if at < 0 and slab + 1 < len(RING_SLABS):
        rows = st.counters[0].rows
        row = longer_list(st.rings_meta, st.items.ring_slab, rows, slab)
        if row > 0:
            _shorten_ring(st, row)
            at = take(st.rings, 1, st.rings_meta, RING_SLABS, slab)
    return int(at)


@njit(cache=True)
def _grow(st: State, row: int, number: int) -> None:
    """Move a full ring to the next larger slab, if there is one."""
    it = st.items[row]
    n, size, larger = np.int64(it.sessions), RING_SLABS[it.ring_slab], RING_SLABS[it.ring_slab + 1]
    at = _larger_slab(st, it.ring_slab + 1)
    if at < 0:
        return
    for i in range(size, min(n, larger)):
        # No session at all: the slot of this number is that of a newer one.
        st.rings[at + (n - 1 - i) % larger] = np.int32(number - len(st.sessions))
    for ago in range(1, min(n, size) + 1):
        st.rings[at + (n - ago) % larger] = st.rings[it.ring + (n - ago) % size]
    if it.ring_slab > 0:
        give(st.rings, 1, st.rings_meta, it.ring_slab, it.ring)
    it.ring_slab += 1
    it.ring = at


@njit(cache=True)
def add_session(st: State, row: int, number: int) -> None:
    """Add a session to the ring of an item that it has clicked for the first time."""
    it = st.items[row]
    if it.sessions >= RING_SLABS[it.ring_slab] and it.ring_slab + 1 < len(RING_SLABS):
        _grow(st, row, number)
    size = RING_SLABS[it.ring_slab]
    if size > 0:
        st.rings[it.ring + it.sessions % size] = np.int32(number)
    it.sessions += 1


@njit(cache=True, fastmath=True)
def _touch(st: State) -> int:
    """Collect the sessions in the rings of the query's latest items; return how many.

    Sets ``st.touched_slots`` to their slots and ``st.touched_places`` to the place in the query of
    the item that found each (0: the latest), and adds up the weights in the slot's ``sim``.
    """
    query, items, sessions, rings = st.query, st.items, st.sessions, st.rings
    n_query, newest = st.request[0].n_query, st.counters[0].next_session
    mask = len(sessions) - 1
    n = 0
    used = 0
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
        idf = math.log((newest + 1.0) / (it.sessions + 1.0))
        w = np.float32(PLACE_WEIGHT[q] * max(idf, 0.0) + 1e-9)
        at = np.int64(it.ring)
        for i in range(filled):
            prefetch(sessions, rings[at + i] & mask)
        for i in range(filled):
            slot = rings[at + i] & mask
            e = sessions[slot]
            if np.int32(e.number - 1) != rings[at + i]:
                continue
            if e.sim == 0:
                st.touched_slots[n] = slot
                st.touched_places[n] = q
                n += 1
            e.sim += w
    return n


@njit(cache=True, fastmath=True)
def _nearest(st: State, n: int) -> int:
    """Weigh the collected sessions and pick the nearest; return how many.

    Their places are in ``st.neighbour_order``. The session being answered is none of them.
    """
    sessions, touched, similarity = st.sessions, st.touched_slots, st.similarity
    newest, own = st.counters[0].next_session, st.request[0].session
    mine = 0
    for x in range(n):
        e = sessions[touched[x]]
        age = max(newest - e.number, 0) >> AGE_STEP
        similarity[x] = e.sim * e.norm * AGE_WEIGHT[min(age, len(AGE_WEIGHT) - 1)]
        e.sim = 0
        if e.number == own + 1:
            similarity[x] = 0
            mine = 1
    st.found[0].neighbours = n - mine
    return top_k(similarity, n, NEIGHBOURS, st.neighbour_order)


@njit(cache=True, fastmath=True)
def _vote(st: State, x: int, a: int, n_pool: int, column: int) -> int:
    """Add the votes of session ``x``, which item ``a`` found; return the pool's size."""
    slot = st.touched_slots[x]
    e = st.sessions[slot]
    kept, first = items_of(st, slot)
    match = 0
    for u in range(e.n):
        if kept[first + u] == a:
            match = u
    s = st.similarity[x]
    w = s * PLACE_WEIGHT[st.touched_places[x]]
    age = max(st.counters[0].next_session - e.number, 0) >> RECENT_STEP
    recent = w * RECENT_WEIGHT[min(age, len(RECENT_WEIGHT) - 1)]
    for u in range(e.n):
        b = kept[first + u]
        if b == 0:
            continue
        p, n_pool = place_in_pool(st, b, n_pool)
        r = st.score[p]
        z = PLACE_WEIGHT[abs(u - match)]
        r[column + PLACE] += w * z
        r[column + UNDECAYED] += s
        r[column + RECENT] += recent * z
        if u > match:
            r[column + AFTER] += w * AFTER_WEIGHT[u - match - 1]
    return n_pool


@njit(cache=True, fastmath=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Add the votes of the sessions nearest to the query to the pool."""
    n_query, n_pool = st.request[0].n_query, st.found[0].pool_size
    k = _nearest(st, _touch(st))
    for o in range(k):
        kept, first = items_of(st, st.touched_slots[st.neighbour_order[o]])
        prefetch(kept, first)
    for o in range(k):
        slot = st.touched_slots[st.neighbour_order[o]]
        kept, first = items_of(st, slot)
        for u in range(st.sessions[slot].n):
            prefetch(st.items, kept[first + u])
    for o in range(k):
        x = st.neighbour_order[o]
        if st.similarity[x] > 0:
            a = st.query[n_query - 1 - st.touched_places[x]]
            n_pool = _vote(st, x, a, n_pool, column)
    st.found[0].pool_size = n_pool


@njit(cache=True)
def _learn(st: State) -> None:
    """Add the click's session to the item's ring, if it is its first click on the item."""
    click = st.click[0]
    if click.first_turn:
        add_session(st, click.row, click.session)


SOURCE = Source(
    "session-kNN",
    columns=(
        Column("knn_place", "session-knn", -1.20, 2.91),
        Column("knn_after", "session-knn", 0.06, -0.27, part="what came after the match"),
        Column("knn_undecayed", "session-knn", -3.84, 4.38, part="without decay by place"),
        Column("knn_recent", "session-knn", -0.55, 0.80, part="the freshest"),
    ),
    names_at_most=NEIGHBOURS * MAX_KEPT,
    retrieve=_retrieve,
    learn=_learn,
    tables=(
        RINGS,
        meta_table(RINGS),
        Table("touched_slots", np.int32, (TOUCHED,)),
        Table("touched_places", np.int32, (TOUCHED,)),
        Table("similarity", np.float32, (TOUCHED,)),
        Table("neighbour_order", np.int32, (TOUCHED,)),
    ),
)
