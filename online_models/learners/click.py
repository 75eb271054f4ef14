"""Learning a click: by the counts alone, or also by vectors, blend and ranker."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.chain import in_order
from online_models.memory.random import random_below
from online_models.memory.state import State
from online_models.ranking.blend_step import blend_step
from online_models.ranking.candidates import pick_candidates
from online_models.ranking.features.registry import EVERY, NAMES, set_features
from online_models.ranking.network import AVERAGED, forward, ranker_step, usable
from online_models.ranking.prequential import note_case
from online_models.ranking.rankings import RANKINGS, sort_candidates
from online_models.sources.registry import SOURCES
from online_models.tables.click_times import note_time
from online_models.tables.item_rows import NOTHING_NEW, told_by_session
from online_models.tables.sessions import insert, items_of, open_slot
from online_models.vectors.two_towers import (
    learn_vectors_session,
    learn_vectors_step,
    note_click,
)

LEARN_FROM_CLICK = 2_000
"""Before so many clicks, cases are not learned: an almost empty model makes misleading ones."""

FIRST_PAGE = NAMES.index("past_first")
"""The feature that a case has which is of a first page."""

REPLAY_FROM_SESSION = 100
"""Old sessions are replayed once there are this many."""

_LEARN = [
    *(source.learn for source in SOURCES),
    *(family.learn for family in EVERY),
    *(ranking.learn for ranking in RANKINGS),
]
_count = in_order("_count", __name__, [(kernel, ()) for kernel in _LEARN if kernel is not None])


@njit(cache=True)
def count_click(st: State, session: int, row: int, place: int, at_s: int) -> int:
    """Learn a step of a session in all counts: item ``row``, before ``place`` (-1: at the end).

    ``at_s`` is its time, in seconds since 1970; 0: unknown.

    Row 0 (an item without a row) only takes its place in the session. A step that comes too late is
    passed over: a newer session has the slot, or the step is older than all that are kept. Returns
    what the step tells of the item (`item_rows.BESIDE`, say).
    """
    slot = open_slot(st, session)
    if slot < 0:
        return NOTHING_NEW
    if st.counters[0].next_session < session + 1:
        st.counters[0].next_session = session + 1
    if place < 0 or place >= st.sessions[slot].n:
        note_time(st, slot, at_s)
    place = insert(st, slot, row, place)
    if row == 0 or place < 0:
        return NOTHING_NEW
    kept, first = items_of(st, slot)
    seen = False
    for u in range(np.int64(st.sessions[slot].n)):
        seen |= u != place and kept[first + u] == row
    click = st.click[0]
    click.session = session
    click.slot = slot
    click.row = row
    click.place = place
    click.at_s = at_s
    click.first_turn = not seen
    _count(st)
    st.counters[0].clock += 1
    if st.items[row].sessions < 2:
        return NOTHING_NEW
    return told_by_session(st, row, kept, first, np.int64(st.sessions[slot].n))


@njit(cache=True)
def make_case(st: State, target: int) -> int:
    """Compute ``st.features`` for the case that the item ``target`` follows the request's query.

    Returns the target's place among the candidates, -1 if it is none of them (then there are no
    features). Nothing is filtered: a clicked item may have been deleted since.
    """
    pick_candidates(st, False)
    for i in range(st.found[0].candidates):
        if st.pool[st.candidates[i]] == target:
            set_features(st)
            return i
    return -1


@njit(cache=True)
def learn_case(st: State, target: int) -> None:
    """Score the case in ``st.features``, then let blend and ranker learn it.

    The candidates are in the blend's order; ``target`` is the place of the item that came next, -1
    if it is none of them. From first pages, only the ranker learns, which can tell them from
    sessions: the blend, and what is known of how good both are, is of sessions.
    """
    st.replaced[0] = -1
    n = st.found[0].candidates
    if target < 0:
        note_case(st, -1, -1)
        return
    if not usable(st.features, n):
        return
    if st.features[FIRST_PAGE, 0] != 0:
        ranker_step(st, n, target)
        return
    forward(st, st.features, n, st.network[AVERAGED])
    sort_candidates(st)
    rank = 0
    while st.ranked_places[rank] != target:
        rank += 1
    note_case(st, target, rank)
    blend_step(st, n, target)
    ranker_step(st, n, target)


@njit(cache=True)
def _request_case(st: State, session: int, n_query: int, n_past: int) -> None:
    """Write the request of a case: the session as it was learned, without a filter."""
    request = st.request[0]
    request.n_query = n_query
    request.session = session
    request.previous_s = 0
    request.last_s = 0
    request.size = 0
    request.n_past = n_past
    request.first_page = session < 0


@njit(cache=True)
def _learn_first_page(st: State, row: int, n_past: int) -> None:
    """Learn the case that a session of a user with this past begins with item ``row``.

    If that is no candidate, there is nothing to learn.
    """
    for i in range(n_past):
        st.query[i] = st.past[i]
    _request_case(st, -1, n_past, n_past)
    target = make_case(st, row)
    if target >= 0:
        learn_case(st, target)


@njit(cache=True)
def _replay_session(st: State) -> None:
    """Learn the vectors of one old session again."""
    newest = st.counters[0].next_session
    kept = min(newest, len(st.sessions))
    if kept < REPLAY_FROM_SESSION:
        return
    number = newest - 1 - random_below(st, kept)
    slot = number & (len(st.sessions) - 1)
    e = st.sessions[slot]
    if e.number != number + 1:
        return
    items, first = items_of(st, slot)
    learn_vectors_session(st, items, first, e.n)


@njit(cache=True)
def learn_click_all(
    st: State, session: int, row: int, place: int, at_s: int, sample: int, n_past: int
) -> int:
    """Learn a step as `count_click` does; before that vectors, and one case in ``sample``.

    The user's past is ``st.past[:n_past]``.
    """
    slot = session & (len(st.sessions) - 1)
    e = st.sessions[slot]
    n = np.int64(e.n) if e.number == session + 1 else 0
    in_order = place < 0 or place >= n
    if row != 0 and in_order:
        if n > 0:
            items, first = items_of(st, slot)
            if st.counters[0].clock >= LEARN_FROM_CLICK and random_below(st, sample) == 0:
                for u in range(n):
                    st.query[u] = items[first + u]
                if st.query[n - 1] != 0:
                    _request_case(st, session, n, n_past)
                    learn_case(st, make_case(st, row))
            learn_vectors_step(st, items, first, n, row)
        else:
            clock = st.counters[0].clock
            if n_past > 0 and clock >= LEARN_FROM_CLICK and random_below(st, sample) == 0:
                _learn_first_page(st, row, n_past)
            _replay_session(st)
        note_click(st, row)
    return count_click(st, session, row, place, at_s)
