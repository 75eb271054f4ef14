"""The candidate sources in order; the pool's columns, retrieval and learning follow from it."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.chain import in_order
from online_models.memory.names import unique
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.sources import (
    new_items,
    own_items,
    pair_successors,
    past,
    popularity,
    rules,
    session_knn,
    two_hops,
)
from online_models.sources.pool import LINE
from online_models.tables.sessions import MAX_KEPT

SOURCES = (
    session_knn.SOURCE,
    rules.SOURCE,
    pair_successors.SOURCE,
    own_items.SOURCE,
    two_hops.SOURCE,
    popularity.SOURCE,
    past.SOURCE,
    new_items.SOURCE,
)
"""A source that depends on what others have found comes after them (`two_hops`)."""

MAX_QUERY_ITEMS = MAX_KEPT
"""Only this many latest items of a query are read."""

COLUMNS = tuple(column for source in SOURCES for column in source.columns)
N_COLUMNS = len(COLUMNS)
COLUMN = {column.name: place for place, column in enumerate(COLUMNS)}
"""Place of each score in a row of the pool."""

FACT = {
    name: N_COLUMNS + place
    for place, name in enumerate(name for source in SOURCES for name in source.facts)
}
"""Place of each fact in a row of the pool, after the scores."""

unique("sources", (source.name for source in SOURCES))
unique("columns", (column.name for column in COLUMNS))
unique("facts", (name for source in SOURCES for name in source.facts))

ROW_WIDTH = -(-(N_COLUMNS + len(FACT)) // LINE) * LINE
POOL = -(-sum(source.names_at_most for source in SOURCES) // LINE) * LINE
"""The most items that the sources may find for one answer."""

TABLES = (
    *(table for source in SOURCES for table in source.tables),
    Table("query", np.int32, (MAX_QUERY_ITEMS,)),
    Table("score", np.float32, (POOL + 1, ROW_WIDTH)),
    Table("pool", np.int32, (POOL + 1,)),
    Table("past_scores", np.float32, (POOL + 1, past.SCORES)),
    Table("new_cosines", np.float32, (POOL + 1,)),
    Table("left_out_columns", np.uint8, (N_COLUMNS,)),
)

_ASKED = [source for source in SOURCES if source.retrieve is not None]
_FIRST_COLUMN = [COLUMN[source.columns[0].name] if source.columns else 0 for source in _ASKED]
_FIRST_FACT = [FACT[source.facts[0]] if source.facts else 0 for source in _ASKED]
_SPANS = np.array([(first, len(s.columns)) for first, s in zip(_FIRST_COLUMN, _ASKED, strict=True)])
"""First column and number of columns of each source that finds items."""


@njit(cache=True)
def _wanted(st: State, place: int) -> bool:
    """Whether a source is needed: not all of its columns are left out."""
    first, n = _SPANS[place, 0], _SPANS[place, 1]
    if st.request[0].n_left_out == 0 or n == 0:
        return True
    for k in range(first, first + n):
        if not st.left_out_columns[k]:
            return True
    return False


_ask = in_order(
    "_ask",
    __name__,
    [
        (source.retrieve, (column, fact))
        for source, column, fact in zip(_ASKED, _FIRST_COLUMN, _FIRST_FACT, strict=True)
    ],
    wanted=_wanted,
)


@njit(cache=True)
def _blank(st: State) -> None:
    """Set the columns that are left out to 0."""
    for p in range(st.found[0].pool_size):
        for k in range(N_COLUMNS):
            if st.left_out_columns[k]:
                st.score[p, k] = 0


@njit(cache=True)
def retrieve(st: State) -> None:
    """Fill the pool with the items that the sources find for ``st.query`` (oldest item first).

    Sets the rows ``st.pool[:n]``, the raw scores ``st.score[:n]``, and n =
    ``st.found[0].pool_size``.
    """
    found, request = st.found[0], st.request[0]
    found.pool_size = 0
    found.neighbours = 0
    found.past_places = 0
    found.past_linked = 0
    found.new_first = 0
    found.own_learned = request.session >= 0
    if request.n_query > 0:
        _ask(st)
    if request.n_left_out > 0:
        _blank(st)
