"""Walks through the lists of the items that a request may want (`tables.item_lists`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from nextclick.limits import MAX_CATEGORIES, MAX_FILTER_CATEGORIES
from online_models.memory.prefetch import prefetch
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.tables.item_lists import ALL_ITEMS, LINKS, place_in
from online_models.tables.item_rows import NOT_NOW

ENOUGH, MOST_LOOKED_AT = 1_024, 2_304
"""Clicked items that are looked at for a page, and the most items while it is not full: 1.5 ms with
a million items. A request excludes at most 1,000 items besides those that its visitor has seen,
bought and hidden, and a page has 512: if all wanted items are in one category, this suffices."""

WALK = np.dtype([("category", "i4"), ("row", "i4")])
"""A list, and the item of it that comes next, 0: none."""

WALKING = np.dtype([("lists", "i8"), ("turn", "i8"), ("looked_at", "i8")])
"""Number of the walks that have not ended, the one whose turn it is, and items looked at so far."""

TABLES = (
    Table("walks", WALK, (MAX_FILTER_CATEGORIES,)),
    Table("walking", WALKING, (1,)),
)


@njit(cache=True)
def begin(st: State, clicked: int) -> None:
    """Begin with the lists of the wanted categories, or with that of all items."""
    request, n = st.request[0], 0
    if request.n_categories == 0:
        n = _begin_list(st, ALL_ITEMS, clicked, n)
    for i in range(request.n_categories):
        number = np.int64(st.filter_categories[i])
        if number > 0:  # 0: there is no such category
            n = _begin_list(st, number, clicked, n)
    st.walking[0].lists = n
    st.walking[0].turn = 0


@njit(cache=True)
def _begin_list(st: State, number: int, clicked: int, n: int) -> int:
    st.walks[n].category = number
    st.walks[n].row = st.item_lists[number, clicked].first
    return n + 1


@njit(cache=True)
def following(st: State) -> int:
    """Return the next item, from each list in turn; 0 after the last one, or `MOST_LOOKED_AT`.

    A list ends where its items are not available, unless the request wants those too.
    """
    walking = st.walking[0]
    while walking.lists > 0 and walking.looked_at < MOST_LOOKED_AT:
        walk = st.walks[walking.turn]
        row = np.int64(walk.row)
        unavailable = st.stats[row].flags & NOT_NOW != 0
        over = row == 0 or (unavailable and not st.request[0].unavailable)
        if over:
            walking.lists -= 1
            walk.category = st.walks[walking.lists].category
            walk.row = st.walks[walking.lists].row
        else:
            walk.row = st.item_links[row, place_in(st.categories, row, walk.category)].after
            _load(st, np.int64(walk.row))
            walking.turn += 1
        if walking.turn >= walking.lists:
            walking.turn = 0
        if not over:
            walking.looked_at += 1
            return int(row)
    return 0


@njit(cache=True, inline="always")
def _load(st: State, row: int) -> None:
    """Have what will be read of an item loaded meanwhile: otherwise each is waited for in turn."""
    prefetch(st.stats, row)
    prefetch(st.marks, row)
    prefetch(st.categories.reshape(-1), row * MAX_CATEGORIES)
    prefetch(st.item_links.reshape(-1), row * LINKS)
