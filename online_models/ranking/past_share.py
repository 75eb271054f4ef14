"""The past's share of the candidates: the blend, which knows nothing of users, leaves it room.

It takes the places of the blend's last candidates, and only for items that the blend has not picked
anyway. What it brings in, the rankings order as any other candidate.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from nextclick.limits import PAST_ITEMS
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.memory.top_k import MAX_SORTED, sort_places
from online_models.sources.past import PLACE, link
from online_models.sources.pool import find_in_pool
from online_models.sources.registry import POOL

ITEMS, LINKS = 12, 4
"""Candidates from the past's own items, and from what is clicked together with its last ones."""

FIRST_ITEMS, FIRST_LINKS = 32, 8
"""The same on a first page, where the past is all there is."""

TABLES = (
    Table("past_taken", np.uint8, (POOL + 1,)),
    Table("past_order", np.int32, (MAX_SORTED,)),
    Table("past_best", np.int32, (FIRST_LINKS,)),
    Table("past_worth", np.float32, (PAST_ITEMS,)),
)

LOWEST = np.float32(-1e29)
"""Scores below are those of items that the request excludes."""


@njit(cache=True)
def place_of_last(st: State) -> int:
    """Return the place in the past of the session's last item, -1 if it has none there."""
    request = st.request[0]
    if request.first_page or request.n_query == 0:
        return -1
    p = find_in_pool(st, st.query[request.n_query - 1], st.found[0].past_places)
    return int(st.past_scores[p, PLACE]) - 1 if p >= 0 else -1


@njit(cache=True, inline="always")
def steps_after(st: State, i: int, last: int) -> int:
    """Return how far item ``i`` of the past comes after item ``last`` in the session of both.

    0 if it does not, or if ``last`` is -1.
    """
    return i - last if 0 <= last < i and st.past_visit[i] == st.past_visit[last] else 0


@njit(cache=True)
def _set_worth(st: State) -> None:
    """Set ``st.past_worth`` to how much each item of the past wants to be a candidate.

    It is nothing for those that the blend picks anyway, or the request excludes.
    """
    n_past, last = st.request[0].n_past, place_of_last(st)
    for i in range(n_past):
        p = find_in_pool(st, st.past[i], st.found[0].past_places)
        if p < 0 or st.past_taken[p] or st.pool_score[p] < LOWEST:
            st.past_worth[i] = 0
        elif st.request[0].first_page:
            st.past_worth[i] = 1.0 / (1 + st.past_visit[i]) + 1.0 / (1 + st.past_in_visit[i])
        else:
            worth = 4.0 / (8 + n_past - 1 - i)
            if st.past_in_visit[i] == 0:
                worth += 0.25
            after = steps_after(st, i, last)
            if after > 0:
                worth += 1.0 / after
            st.past_worth[i] = worth


@njit(cache=True)
def _take_items(st: State, m: int, most: int) -> int:
    """Append up to ``most`` of the past's items to ``st.past_order[:m]``; return its length."""
    _set_worth(st)
    worth = st.past_worth
    for _ in range(most):
        best = 0
        for i in range(1, st.request[0].n_past):
            if worth[i] > worth[best]:
                best = i
        if worth[best] == 0:
            break
        p = find_in_pool(st, st.past[best], st.found[0].past_places)
        worth[best] = 0
        st.past_taken[p] = 1
        st.past_order[m] = p
        m += 1
    return m


@njit(cache=True)
def _take_links(st: State, m: int, most: int) -> int:
    """Append up to ``most`` of what goes with the past; return the length."""
    best = st.past_best
    found = 0
    for k in range(st.found[0].past_linked):
        p = st.past_linked[k]
        if p >= st.found[0].past_places:  # the pool was full
            continue
        if st.past_taken[p] or st.pool_score[p] < LOWEST:
            continue
        worth = link(st, p)
        if found == most and worth <= link(st, best[found - 1]):
            continue
        c = found if found < most else found - 1
        while c > 0 and link(st, best[c - 1]) < worth:
            best[c] = best[c - 1]
            c -= 1
        best[c] = p
        found = min(found + 1, most)
    for c in range(found):
        st.past_taken[best[c]] = 1
        st.past_order[m + c] = best[c]
    return m + found


@njit(cache=True)
def give_share(st: State, n: int, candidates: int) -> None:
    """Bring the past's items among the first ``candidates`` places of ``st.order[:n]``.

    These stay in the order of ``st.pool_score``.
    """
    if st.found[0].past_places == 0 or n < candidates:
        return
    first = st.request[0].first_page
    items = FIRST_ITEMS if first else ITEMS
    links = FIRST_LINKS if first else LINKS
    kept = candidates - items - links
    order, new, taken = st.order, st.past_order, st.past_taken
    taken[: st.found[0].pool_size] = 0
    for i in range(kept):
        taken[order[i]] = 1
    m = _take_links(st, _take_items(st, 0, items), links)
    for i in range(kept, n):
        if m == n - kept:
            break
        if not taken[order[i]]:
            new[m] = order[i]
            m += 1
    for i in range(m):
        order[kept + i] = new[i]
    room = order[kept:candidates]
    sort_places(st.pool_score, room, candidates - kept, st.sort_keys, st.sort_places)
