"""Session slots: the last items of each session, by session number.

A session's slot is its number modulo the capacity, and holds it only while the slot's
number matches. Up to 10 items lie in the slot itself (one cache line), longer sessions
move to a slab.
"""

from __future__ import annotations

from numba import njit

from online_models.memory.layout import (
    INLINE_ITEMS,
    MAX_KEPT,
    SESSION_ITEMS_WORD,
    SESSION_SLABS,
    SESSION_WORDS,
    State,
)
from online_models.memory.slabs import give, take


@njit(cache=True, inline="always")
def items_of(st: State, slot: int):  # type: ignore[no-untyped-def]
    """Return (array, first index) where the items of a slot lie."""
    e = st.sessions[slot]
    if e.slab == 0:
        return st.session_words, slot * SESSION_WORDS + SESSION_ITEMS_WORD
    return st.arena, e.at + 0 * slot


@njit(cache=True)
def open_slot(st: State, number: int) -> int:
    """Return the slot of a session, emptied if it was another's; -1 if a newer one has it."""
    slot = number & (len(st.sessions) - 1)
    e = st.sessions[slot]
    if e.number > number + 1:
        return -1
    if e.number != number + 1:
        if e.slab > 0:
            give(st.arena, 1, st.arena_meta, e.slab, e.at)
        e.number = number + 1
        e.n = 0
        e.slab = 0
        st.moments[slot, 0] = 0
        st.moments[slot, 1] = 0
    return slot


@njit(cache=True)
def insert(st: State, slot: int, row: int, place: int) -> int:
    """Insert an item before ``place`` (-1: at the end) and return its place.

    A full session loses its oldest item, or the new one where that is older than all.
    Returns -1 if the item was not kept.
    """
    e = st.sessions[slot]
    n = int(e.n)
    if place < 0 or place > n:
        place = n
    room = INLINE_ITEMS if e.slab == 0 else min(SESSION_SLABS[e.slab], MAX_KEPT)
    if n == room and room < MAX_KEPT:
        at = take(st.arena, 1, st.arena_meta, SESSION_SLABS, e.slab + 1)
        if at >= 0:
            old, o = items_of(st, slot)
            for i in range(n):
                st.arena[at + i] = old[o + i]
            if e.slab > 0:
                give(st.arena, 1, st.arena_meta, e.slab, e.at)
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
