"""The user's past: items of earlier sessions, and what is clicked together with the last of them.

A request may carry it (`ranking.request.Past`); without one, this source does nothing. What it
finds gets no column, and so no term of the blend: the blend knows nothing of users. It has a share
of the candidates instead (`share`), and the ranker learns from features what a past is worth
(`ranking.features.past`), so that it never pushes aside what the session itself says.

    st.past[i]           row of an item, oldest first by the last step on it
    st.past_at[i]        when that step was, seconds since 1970
    st.past_flags[i]     BOUGHT | LIKED
    st.past_visit[i]     how many of the earlier sessions came after that step: 0, 1, ...
    st.past_in_visit[i]  place among the items of that session, from 0
    st.past_scores[p]    of the item at place p of the pool: sequential weights and co-visits from
                         the last items of the past; 1 + its place in the past, 0: not in it
    st.past_linked[k]    place of the pool of an item that has such weights
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nextclick.limits import PAST_ITEMS, SESSION_IDLE_MS
from online_models.memory.prefetch import prefetch
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.sources.pool import place_in_pool
from online_models.sources.rules import PRIOR, RULE_SLABS
from online_models.sources.source import Source

BOUGHT, LIKED = 1, 2
"""Flags of an item of the past."""

FOLLOWED, READ = 6, 16
"""Last items of the past whose rules are followed, and entries that are read of each."""

SEQ, COV, PLACE = range(3)
"""Columns of ``State.past_scores``."""

SCORES = 4
"""Their number, rounded up."""

FADE = np.float32(0.8)
"""Weight of an item of the past, compared with that of the next later one."""

IDLE_S = SESSION_IDLE_MS // 1_000
"""Between two items of the past lies the end of a session if it is longer than this."""


@njit(cache=True)
def take_past(
    st: State,
    rows: NDArray[np.int32],
    times_s: NDArray[np.int64],
    flags: NDArray[np.uint8],
    repeats: float,
) -> int:
    """Set the tables to the last `PAST_ITEMS` of a past, without items that have no row.

    Arguments as the fields of `ranking.request.Past`. Returns the number of items.
    """
    n = 0
    for i in range(max(len(rows) - PAST_ITEMS, 0), len(rows)):
        if rows[i] != 0:
            st.past[n] = rows[i]
            st.past_at[n] = times_s[i]
            st.past_flags[n] = flags[i]
            n += 1
    st.past_repeats[0] = repeats
    return n


@njit(cache=True)
def _divide(st: State, n: int) -> None:
    """Tell the sessions of the past apart by the time between steps."""
    visit = 0
    first = n
    for i in range(n - 1, -1, -1):
        if i < n - 1 and st.past_at[i + 1] - st.past_at[i] > IDLE_S:
            for u in range(i + 1, first):
                st.past_in_visit[u] = u - i - 1
            first = i + 1
            visit += 1
        st.past_visit[i] = visit
    for u in range(first):
        st.past_in_visit[u] = u


@njit(cache=True)
def in_session(st: State, row: int) -> bool:
    """Whether the session itself has an item; on the first page it has none."""
    if st.request[0].first_page:
        return False
    for u in range(st.request[0].n_query):
        if st.query[u] == row:
            return True
    return False


@njit(cache=True, inline="always")
def link(st: State, p: int) -> np.float32:
    """Return how far the item at a place of the pool goes with the last items of the past."""
    return st.past_scores[p, SEQ] + st.past_scores[p, COV]


@njit(cache=True, fastmath=True)
def _follow(st: State, a: int, w: float, n: int) -> int:
    """Add what is clicked together with item ``a``; return the pool's size."""
    it = st.items[a]
    scores = st.past_scores
    at = np.int64(it.rules)
    f_seq = np.float32(w) / (it.seq_sum + PRIOR)
    f_cov = np.float32(w) * it.damp
    size = min(READ, RULE_SLABS[it.rules_slab])
    linked = st.found[0].past_linked
    for c in range(size):
        prefetch(st.items, st.rules[at + c].item)
    for c in range(size):
        e = st.rules[at + c]
        if e.item == 0:
            break
        before = n
        p, n = place_in_pool(st, e.item, n)
        if p >= before:
            scores[p, :] = 0
        known = link(st, p) > 0
        scores[p, SEQ] += f_seq * e.seq
        scores[p, COV] += f_cov * e.cov * st.items[e.item].damp
        if not known and link(st, p) > 0:
            st.past_linked[linked] = p
            linked += 1
    st.found[0].past_linked = linked
    return n


@njit(cache=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Put the past's items and what goes with the last of them into the pool.

    Items of the session are not followed: `rules` does so, and the session is no witness for
    itself.
    """
    n_past, n = st.request[0].n_past, st.found[0].pool_size
    if n_past == 0:
        return
    for i in range(n_past):
        prefetch(st.items, st.past[i])
    _divide(st, n_past)
    st.past_scores[:n] = 0
    for i in range(n_past):
        before = n
        p, n = place_in_pool(st, st.past[i], n)
        if p >= before:
            st.past_scores[p, :] = 0
        st.past_scores[p, PLACE] = i + 1
    w = np.float32(1)
    for i in range(n_past - 1, max(n_past - FOLLOWED, 0) - 1, -1):
        if not in_session(st, st.past[i]):
            n = _follow(st, st.past[i], w, n)
        w *= FADE
    st.found[0].pool_size = n
    st.found[0].past_places = n


SOURCE = Source(
    "the user's past",
    names_at_most=PAST_ITEMS + FOLLOWED * READ,
    retrieve=_retrieve,
    tables=(
        Table("past", np.int32, (PAST_ITEMS,)),
        Table("past_at", np.int64, (PAST_ITEMS,)),
        Table("past_flags", np.uint8, (PAST_ITEMS,)),
        Table("past_repeats", np.float32, (1,)),
        Table("past_visit", np.int32, (PAST_ITEMS,)),
        Table("past_in_visit", np.int32, (PAST_ITEMS,)),
        Table("past_linked", np.int32, (FOLLOWED * READ,)),
    ),
)
"""``past_repeats`` is the share of the user's steps that were on an item of an earlier session."""
