"""The filter of a request."""

from __future__ import annotations

import numpy as np
from numba import njit

from nextclick.limits import MAX_CATEGORIES, MAX_FILTER_CATEGORIES
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.conditions import in_mask
from online_models.tables.categories import MOST_CATEGORIES
from online_models.tables.item_rows import DELETED, TIMED, UNAVAILABLE, in_its_time

TABLES = (
    Table("marks", np.int32, ("rows",)),
    Table("filter_categories", np.int32, (MAX_FILTER_CATEGORIES,)),
    Table("wanted", np.int32, (1 + MOST_CATEGORIES,)),
)
"""``marks`` holds, by row, the number of the last request that excluded the item or has it in its
answer already, and ``wanted``, by category, that of the last request that wants the category: so
nothing needs to be cleared between answers, and no item is compared with each of 64 categories."""


@njit(cache=True)
def allowed(st: State, row: int) -> bool:
    """Whether an item passes the request's filter."""
    request = st.request[0]
    flags = st.stats[row].flags
    if flags & DELETED or not (request.unavailable or _available(st, row, flags)):
        return False
    if (request.exclusions and st.marks[row] == np.int32(request.number)) or not in_mask(st, row):
        return False
    if request.n_categories == 0:
        return True
    own = st.categories[row]
    for i in range(MAX_CATEGORIES):
        if own[i] == 0:
            return False
        if st.wanted[own[i]] == np.int32(request.number):
            return True
    return False


@njit(cache=True, inline="always")
def _available(st: State, row: int, flags: int) -> bool:
    if flags & UNAVAILABLE:
        return False
    return flags & TIMED == 0 or in_its_time(st, row, st.request[0].now_s)


@njit(cache=True)
def exclude(st: State, row: int) -> None:
    """Exclude an item from the rest of this request."""
    st.request[0].exclusions = 1
    st.marks[row] = np.int32(st.request[0].number)
