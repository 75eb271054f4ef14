"""The state that every kernel gets: all tables by reference, and the records that kernels share.

A kernel takes one `State` (a numba structref): calling it from Python takes 0.6 us, against 7 us
with a named tuple of 60 arrays. The fields are the tables that the models declare;
`online_models.state_tables` binds them.

Shared records are tables with one entry, read as ``st.request[0].size``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numba.experimental import structref

from online_models.memory.table import Kept, Table

COUNTERS = np.dtype(
    [
        ("clock", "i8"),  # clicks learned
        ("next_session", "i8"),  # number of the next session
        ("rows", "i8"),  # items that have a row
        ("popular", "i8"),  # length of the list of popular items
        ("trending", "i8"),  # length of the list by recent popularity
        ("negatives_seen", "i8"),  # clicks that vectors were learned from
        ("random", "i8"),  # state of the generator
        ("ranker_steps", "i8"),  # cases that the ranker has learned
        ("cases_seen", "i8"),  # cases put into the replay buffer so far
        ("cases_scored", "i8"),  # cases in the prequential scores
        ("items_with_content", "i8"),  # items that have tokens
        ("optional_cases", "i8"),  # cases learned that had optional features
        ("spare", "i8", (4,)),
    ]
)
"""Counters of the models. Their 128 bytes are part of snapshots and of the learners' state."""

REQUEST = np.dtype(
    [
        ("number", "i8"),  # of the request, 31 bits; excluded items are marked with it
        ("n_query", "i8"),  # items in `query`, oldest first
        ("session", "i8"),  # number of the session to answer for, -1: not in the models
        ("previous_s", "i8"),  # times of its last two clicks, seconds since 1970; 0: not given,
        ("last_s", "i8"),  # see `tables.click_times.times_of_request`
        ("size", "i8"),  # items wanted
        ("n_categories", "i8"),  # categories in `filter_categories`; 0: any category
        ("unavailable", "i8"),  # whether unavailable items may be in the answer
        ("exclusions", "i8"),  # whether items are marked in `marks`
        ("n_left_out", "i8"),  # columns and features left out (`Engine.leave_out`)
        ("now_s", "i8"),  # its time, seconds since 1970; 0: no item's time is looked at
        ("mask", "i8"),  # place of its condition in `condition_masks`, -1: it has none
        ("n_past", "i8"),  # items in `past`: what the user did before this session
        ("first_page", "i8"),  # whether the query is that past: the session has no item yet
    ]
)
"""The current request. `online_models.ranking.request` fills it in."""

FOUND = np.dtype(
    [
        ("pool_size", "i8"),  # items that the sources have found
        ("neighbours", "i8"),  # sessions that share an item with the query
        ("candidates", "i8"),  # best items of the pool, which the rankings order
        ("own_learned", "i8"),  # whether the counts include the session's own clicks
        ("has_features", "i8"),  # whether `features` belong to these candidates
        ("answering", "i8"),  # place in RANKINGS of the ranking that ordered the candidates
        ("past_places", "i8"),  # places of the pool that `past_scores` has; 0 without a past
        ("past_linked", "i8"),  # places of the pool in `past_linked`
        ("new_first", "i8"),  # place of the pool from which it has `new_cosines`
    ]
)
"""Intermediate results of the current answer."""

CLICK = np.dtype(
    [
        ("session", "i8"),  # number of its session
        ("slot", "i8"),  # slot of the session
        ("row", "i8"),  # of the item
        ("place", "i8"),  # place among the session's steps
        ("at_s", "i8"),  # its time, seconds since 1970; 0: unknown
        ("first_turn", "i8"),  # whether it is the session's first click on the item
    ]
)
"""The click that is being learned."""

TABLES = (
    Table("counters", COUNTERS, (1,), Kept.WHOLE),
    Table("request", REQUEST, (1,)),
    Table("found", FOUND, (1,)),
    Table("click", CLICK, (1,)),
)


@structref.register
class StateType(types.StructRef):
    """Numba's type of `State`."""

    def preprocess_fields(self, fields: list[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
        """Return the fields without literal types."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class State(structref.StructRefProxy):
    """All tables, by reference; `online_models.state_tables.bind` makes one."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
