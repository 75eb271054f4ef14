"""Features of an item, whoever looks at it.

Computed by the functions that the rankings' features are computed by: for a session without the
item, `item_log_clicks` is `log_clicks`, bit for bit, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.ranking.features.entity import Group, ItemFacts, Value
from online_models.ranking.features.feature import Entity, Feature, Origin
from online_models.ranking.features.origins import CATALOGUE, COUNTS
from online_models.sources.popularity import log_trend, logs_without, trend
from online_models.tables.item_rows import IN_CATALOGUE, UNAVAILABLE


def _feature(name: str, meaning: str, unit: str, origin: Origin = COUNTS) -> Feature:
    return Feature(name, "item", meaning, unit, origin, entity=Entity.ITEM)


NUMBERS = (
    _feature("item_clicks", "clicks on it, purchases and likes included", "clicks"),
    _feature("item_log_clicks", "log(1 + clicks)", "log clicks"),
    _feature(
        "item_log_popularity",
        "log of its clicks with the long decay, at least -5",
        "log clicks",
    ),
    _feature("item_log_trend", "log of its clicks with the short decay, at least -8", "log clicks"),
    _feature("item_trend", "how much faster it is clicked now than in the long run", "ratio"),
    _feature(
        "item_log_age", "0.2 log(1 + clicks on any item since its last one)", "0.2 log clicks"
    ),
    _feature("item_sessions", "different sessions that have clicked it", "sessions"),
    _feature("item_known_for", "clicks on any item since it became known", "clicks"),
    _feature("item_in_catalogue", "1 if the catalogue has it", "0 or 1", CATALOGUE),
    _feature(
        "item_unavailable", "1 if the catalogue says that it is unavailable", "0 or 1", CATALOGUE
    ),
)


@njit(cache=True, fastmath=True)
def _fill(st: State, row: int, out: NDArray[np.float32]) -> None:
    """Set ``out`` to the values of `NUMBERS`."""
    s, clock = st.stats[row], st.counters[0].clock
    log_clicks, log_recent = logs_without(st, row, np.float32(0))
    out[0] = s.clicks
    out[1] = log_clicks
    out[2] = log_recent
    out[3] = log_trend(st, row, np.float32(0))
    out[4] = trend(st, row)
    age = np.float32(clock - s.last)
    out[5] = np.float32(0.2) * math.log(np.float32(1) + age)
    out[6] = st.items[row].sessions
    out[7] = clock - s.born
    out[8] = s.flags & IN_CATALOGUE != 0
    out[9] = s.flags & UNAVAILABLE != 0


def _values(item: ItemFacts) -> Sequence[Value]:
    out = np.zeros(len(NUMBERS), np.float32)
    _fill(item.state, item.row, out)
    return (*out.tolist(), item.categories)


GROUP = Group(
    (*NUMBERS, _feature("item_categories", "its categories", "names", CATALOGUE)),
    _values,
)
