"""What every kernel gets: all tables by reference, and the records that kernels share.

A kernel takes one `State` (a numba structref): a call from Python costs 0.6 us, against 7 us
for a named tuple of 60 arrays. Its fields are the tables that the models declare; they are bound
in `online_models.state_tables`.

Records of one entry are read as ``st.request[0].size``.
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
        ("next_session", "i8"),  # number that the next session gets
        ("rows", "i8"),  # items that have a row
        ("popular", "i8"),  # length of the list of popular items
        ("trending", "i8"),  # length of the list by popularity of late
        ("negatives_seen", "i8"),  # clicks that vectors were learned from
        ("random", "i8"),  # state of the generator
        ("ranker_steps", "i8"),  # cases that the ranker has learned
        ("cases_seen", "i8"),  # cases that were put into the replay buffer
        ("cases_scored", "i8"),  # cases in the prequential scores
        ("items_with_content", "i8"),  # items that have tokens
        ("spare", "i8", (5,)),
    ]
)
"""What was learned, as numbers. Its 128 bytes are part of snapshots and of learners' state."""

REQUEST = np.dtype(
    [
        ("number", "i8"),  # of the answer, 31 bits; what it excludes is marked with it
        ("n_query", "i8"),  # items in `query`, oldest first
        ("session", "i8"),  # number of the session that is answered, -1: none that is learned
        ("previous_s", "i8"),  # when its last two clicks were, seconds since 1970; 0: unknown
        ("last_s", "i8"),
        ("size", "i8"),  # items wanted
        ("n_categories", "i8"),  # categories in `filter_categories`; 0: all
        ("unavailable", "i8"),  # whether unavailable items may be answered
        ("exclusions", "i8"),  # whether items are marked in `marks`
        ("n_left_out", "i8"),  # columns and features left out (`Engine.leave_out`)
    ]
)
"""What is asked. `online_models.ranking.request` fills it."""

FOUND = np.dtype(
    [
        ("pool_size", "i8"),  # items that the sources have named
        ("neighbours", "i8"),  # sessions that share an item with the query
        ("candidates", "i8"),  # best items of the pool, for the rankings to order
        ("own_learned", "i8"),  # whether the session's own clicks are in the counts
        ("has_features", "i8"),  # whether `features` are those of these candidates
        ("answering", "i8"),  # place in RANKINGS of the ranking that ordered the candidates
    ]
)
"""What the running answer has found so far."""

CLICK = np.dtype(
    [
        ("session", "i8"),  # number of its session
        ("slot", "i8"),  # where the session lies
        ("row", "i8"),  # of the item
        ("place", "i8"),  # among the session's steps
        ("at_s", "i8"),  # when it was, seconds since 1970; 0: unknown
        ("first_turn", "i8"),  # whether the session turns to the item for the first time
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
