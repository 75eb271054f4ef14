"""The share that new items have of the candidates: the blend, without a click, puts them last.

They take the places of the blend's last candidates. Whether one of them is worth a place on the
page, the ranker decides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.memory.top_k import sort_places
from online_models.ranking.past_share import LOWEST

NEW = 8
"""Candidates that are new items, at most."""

TABLES = (Table("new_order", np.int32, (NEW,)),)


@njit(cache=True)
def _is_among(st: State, p: int, n: int) -> bool:
    for i in range(n):
        if st.order[i] == p:
            return True
    return False


@njit(cache=True)
def _find_best(st: State, kept: int) -> int:
    """Set ``st.new_order`` to the new items most like the session's that are no candidates yet.

    Of those that are equally like it, the first ones found. Returns their number.
    """
    best, cosines, found = st.new_order, st.new_cosines, 0
    for p in range(st.found[0].new_first, st.found[0].pool_size):
        cosine = cosines[p]
        if st.pool_score[p] < LOWEST or _is_among(st, p, kept):
            continue
        if found == NEW and cosine <= cosines[best[found - 1]]:
            continue
        c = found if found < NEW else found - 1
        while c > 0 and cosines[best[c - 1]] < cosine:
            best[c] = best[c - 1]
            c -= 1
        best[c] = p
        found = min(found + 1, NEW)
    return found


@njit(cache=True)
def _move_back(st: State, first: int, candidates: int, n: int, found: int) -> None:
    """Let the candidates from ``first`` on be the first ones behind the candidates.

    What lies there moves back, except the new items; what does not fit is dropped.
    """
    order, behind = st.order, candidates
    for i in range(candidates, n):
        if not _is_chosen(st, order[i], found):
            order[behind] = order[i]
            behind += 1
    for i in range(n - 1, candidates + found - 1, -1):
        order[i] = order[i - found]
    for i in range(candidates, min(candidates + found, n)):
        order[i] = order[first + i - candidates]


@njit(cache=True)
def _is_chosen(st: State, p: int, found: int) -> bool:
    for i in range(found):
        if st.new_order[i] == p:
            return True
    return False


@njit(cache=True)
def give_new_share(st: State, n: int, candidates: int) -> None:
    """Bring new items among the first ``candidates`` places of ``st.order[:n]``.

    These stay in the order of ``st.pool_score``.
    """
    if st.found[0].new_first == st.found[0].pool_size or n < candidates:
        return
    found = _find_best(st, candidates)
    if found == 0:
        return
    order, first = st.order, candidates - found
    _move_back(st, first, candidates, n, found)
    for i in range(found):
        order[first + i] = st.new_order[i]
    room = order[first:candidates]
    sort_places(st.pool_score, room, found, st.sort_keys, st.sort_places)
