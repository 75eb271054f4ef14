"""Session slots: the last items of each session, by session number.

A session's slot is its number modulo the capacity; the slot holds that session only while its
number matches. A slot is one cache line; the items of a longer session move to a slab of an arena:

    byte    0         8    10    12    16    20    24                                  64
            | number  | n  | slab| at  | norm| sim | items[0] .. items[9]              |
    slab 0: the items are in the slot; otherwise they are session_arena[at : at + n]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nextclick.limits import SESSION_STEPS
from online_models.memory.layout import Limits
from online_models.memory.slabs import give, meta_table, take
from online_models.memory.state import State
from online_models.memory.table import Forget, Kept, Lists, Table
from online_models.tables.click_times import forget_times, note_time

MAX_KEPT = SESSION_STEPS
"""Steps that a session keeps; the oldest are dropped first."""

INLINE_ITEMS = 10
"""Items of a session inside its own cache line; 96 % of shop sessions fit."""

SESSION_SLABS = np.array([0, 24, -(-MAX_KEPT // 4) * 4], np.int64)

SESSION = np.dtype(
    [
        ("number", "i8"),  # session number plus one: 0 means "empty"
        ("n", "i2"),
        ("slab", "i2"),  # 0: the items are in the slot
        ("at", "i4"),  # first entry in the arena
        ("norm", "f4"),  # 1 / sqrt(n + 2)
        ("sim", "f4"),  # scratch of an answer, zero outside it
        ("items", "i4", (INLINE_ITEMS,)),
    ]
)
SESSION_WORDS, SESSION_ITEMS_WORD = SESSION.itemsize // 4, 6


def _arena_entries(limits: Limits) -> int:
    """Return the size of the arena: one session in 16 may outgrow its slot."""
    return max(limits.max_sessions // 16, 64) * int(SESSION_SLABS[-1])


@njit(cache=True, inline="always")
def items_of(st: State, slot: int):  # type: ignore[no-untyped-def]
    """Return (array, first index) of the items of a slot."""
    e = st.sessions[slot]
    if e.slab == 0:
        return st.session_words, slot * SESSION_WORDS + SESSION_ITEMS_WORD
    return st.session_arena, e.at + 0 * slot


@njit(cache=True)
def _forget(st: State, slot: int) -> None:
    """Keep the steps of a session, without the items that leave."""
    kept, first = items_of(st, slot)
    for u in range(np.int64(st.sessions[slot].n)):
        kept[first + u] = st.becomes[kept[first + u]]


def _shorten(steps: NDArray[Any], sessions: NDArray[Any], size: int) -> NDArray[Any]:
    """Keep the last steps of sessions, in their slots if ``size`` is 0."""
    room = min(size or INLINE_ITEMS, MAX_KEPT)
    last = np.zeros((len(steps), size or INLINE_ITEMS), steps.dtype)
    kept = np.minimum(sessions["n"], room)
    for u in range(room):
        has = u < kept
        last[has, u] = steps[has, (sessions["n"] - kept)[has] + u]
    sessions["n"] = kept
    sessions["norm"] = 1.0 / (kept + 2.0) ** 0.5
    if size == 0:
        sessions["items"] = last
    return last[:, :size]


ARENA = Table(
    "session_arena",
    np.int32,
    (_arena_entries,),
    Kept.ARENA,
    lists=Lists("sessions", "at", "slab", SESSION_SLABS, _shorten),
)
TABLES = (
    Table("sessions", SESSION, ("max_sessions",), Kept.SESSIONS, forget=Forget(_forget)),
    Table("session_words", np.int32, (), view_of="sessions"),
    ARENA,
    meta_table(ARENA),
)


@njit(cache=True)
def open_slot(st: State, number: int) -> int:
    """Return the slot of a session, cleared if an older one had it; -1 if a newer one has it."""
    slot = number & (len(st.sessions) - 1)
    e = st.sessions[slot]
    if e.number > number + 1:
        return -1
    if e.number != number + 1:
        if e.slab > 0:
            give(st.session_arena, 1, st.session_arena_meta, e.slab, e.at)
        e.number = number + 1
        e.n = 0
        e.slab = 0
        forget_times(st, slot)
    return slot


@njit(cache=True)
def insert(st: State, slot: int, row: int, place: int) -> int:
    """Insert an item before ``place`` (-1: at the end) and return its place.

    A full session drops its oldest item. Returns -1 if that would be the new one.

    >>> from online_models.state_tables import new_state
    >>> arrays, st = new_state(Limits(max_items=8, max_sessions=8, pairs=8))
    >>> slot = open_slot(st, 3)
    >>> insert(st, slot, 5, -1), insert(st, slot, 7, -1), insert(st, slot, 6, 1)
    (0, 1, 1)
    >>> arrays["sessions"]["items"][slot, :3].tolist()
    [5, 6, 7]
    """
    e = st.sessions[slot]
    n = int(e.n)
    if place < 0 or place > n:
        place = n
    room = INLINE_ITEMS if e.slab == 0 else min(SESSION_SLABS[e.slab], MAX_KEPT)
    if n == room and room < MAX_KEPT:
        at = take(st.session_arena, 1, st.session_arena_meta, SESSION_SLABS, e.slab + 1)
        if at >= 0:
            old, o = items_of(st, slot)
            for i in range(n):
                st.session_arena[at + i] = old[o + i]
            if e.slab > 0:
                give(st.session_arena, 1, st.session_arena_meta, e.slab, e.at)
            e.slab += 1
            e.at = at
            room = min(SESSION_SLABS[e.slab], MAX_KEPT)
    kept, o = items_of(st, slot)
    if n == room:
        if place == 0:
            return -1
        for i in range(place - 1):
            kept[o + i] = kept[o + i + 1]
        place -= 1
    else:
        for i in range(n, place, -1):
            kept[o + i] = kept[o + i - 1]
        e.n = n + 1
    kept[o + place] = row
    e.norm = 1.0 / (e.n + 2.0) ** 0.5
    return place


@njit(cache=True)
def append(st: State, number: int, row: int, at_s: int) -> None:
    """Append an item to a session; what counts clicks does not learn of it."""
    slot = open_slot(st, number)
    if slot >= 0:
        note_time(st, slot, at_s)
        insert(st, slot, row, -1)
