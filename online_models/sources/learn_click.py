"""Learning of one click: it enters its session and every count."""

from __future__ import annotations

from numba import njit

from online_models.memory.layout import CLOCK, NEXT_SESSION, State
from online_models.sources.popularity import count_click
from online_models.sources.rules import learn_rules
from online_models.sources.session_knn import add_session
from online_models.tables.click_times import note_time
from online_models.tables.sessions import insert, items_of, open_slot


@njit(cache=True)
def learn_step(st: State, number: int, row: int, place: int, at_s: int) -> int:
    """Learn a step of session ``number``: item ``row`` before ``place`` (-1: at the end).

    ``at_s`` is when it was, in seconds since 1970; 0: unknown.

    Row 0 (an item without a row) only takes its place in the session. Returns how many
    sessions have turned to the item, or -1 if the step came too late: the session's slot
    is another's by now, or the step is older than all that is kept.
    """
    slot = open_slot(st, number)
    if slot < 0:
        return -1
    if st.ctr[NEXT_SESSION] < number + 1:
        st.ctr[NEXT_SESSION] = number + 1
    if place < 0 or place >= st.sessions[slot].n:
        note_time(st, slot, at_s)
    place = insert(st, slot, row, place)
    if row == 0:
        return 0
    if place < 0:
        return -1
    kept, first = items_of(st, slot)
    n = int(st.sessions[slot].n)
    seen = False
    for u in range(n):
        seen |= u != place and kept[first + u] == row
    if not seen:
        add_session(st, row, number)
    count_click(st, row, 1.0)
    learn_rules(st, kept, first, n, place)
    st.ctr[CLOCK] += 1
    return int(st.items[row].sessions)
