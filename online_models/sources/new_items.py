"""New items that are like the session's last ones: what nobody has clicked is in no count.

Each item has a list of the new items whose content is most like its own; `content.new_items` keeps
it. Without a catalogue, all lists are empty and this source does nothing. As with the user's past,
what it finds gets no column: the blend knows nothing of content. It has a share of the candidates
instead (`ranking.new_share`), and the ranker learns from features what being alike is worth
(`ranking.features.new_items`). What another source has found anyway is in the counts: it is none.

    st.like[row, i]       a new item that is like item ``row``, most like it first; 0: no further
    st.new_cosines[p]     of the item at place p of the pool, from st.found[0].new_first on: its
                          largest cosine with an item whose list has it
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.memory.table import Forget, Table
from online_models.sources.pool import place_in_pool
from online_models.sources.source import Source
from online_models.tables.item_rows import DELETED

NEW_CLICKS = 5
"""An item with fewer clicks is new."""

LISTED = 8
"""New items on an item's list: 64 bytes."""

READ = 2
"""The lists of so many last items of the session are read, of those with thin counts."""

THIN_CLICKS = 20
"""An item with fewer clicks has thin counts: they hardly know what follows it."""

LIKE = np.dtype([("row", "i4"), ("cosine", "f4")])


@njit(cache=True)
def is_new(stats: NDArray[np.void], row: int) -> bool:
    """Whether an item is new, and not deleted."""
    return bool(stats[row].clicks < NEW_CLICKS and stats[row].flags & DELETED == 0)


@njit(cache=True)
def _forget(st: State, row: int) -> None:
    """Drop items that leave from an item's list."""
    kept = 0
    for i in range(LISTED):
        e = st.like[row, i]
        becomes, cosine = st.becomes[e.row], e.cosine
        e.row = 0
        if becomes != 0:
            st.like[row, kept].row = becomes
            st.like[row, kept].cosine = cosine
            kept += 1


@njit(cache=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Put new items into the pool that are like the last items of the session."""
    found, n_query = st.found[0], st.request[0].n_query
    n = found.new_first = found.pool_size
    for u in range(max(n_query - READ, 0), n_query):
        if st.stats[st.query[u]].clicks >= THIN_CLICKS:
            continue
        listed = st.like[st.query[u]]
        for i in range(LISTED):
            row = listed[i].row
            if row == 0:
                break
            if not is_new(st.stats, row):
                continue
            before = n
            p, n = place_in_pool(st, row, n)
            if p >= before:
                st.new_cosines[p] = listed[i].cosine
            elif p >= found.new_first:
                st.new_cosines[p] = max(st.new_cosines[p], listed[i].cosine)
    found.pool_size = n


SOURCE = Source(
    "new items",
    names_at_most=READ * LISTED,
    retrieve=_retrieve,
    tables=(Table("like", LIKE, ("rows", LISTED), forget=Forget(_forget, places="items")),),
)
