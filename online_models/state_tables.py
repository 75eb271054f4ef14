"""All tables of all models: fields of `State`, allocation and the memory formula follow from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from numba import njit
from numba.experimental import structref
from numpy.typing import NDArray

from online_models.memory import state, top_k
from online_models.memory.layout import SMALLEST, Limits
from online_models.memory.names import unique
from online_models.memory.random import first_random
from online_models.memory.slabs import BUMP
from online_models.memory.state import State, StateType
from online_models.memory.table import Arrays, Kept, Table, allocate
from online_models.ranking import (
    blend,
    blend_step,
    candidates,
    conditions,
    item_filter,
    listed_items,
    network,
    new_share,
    page,
    past_share,
    prequential,
    rankings,
)
from online_models.ranking.features import registry as features
from online_models.sources import registry as sources
from online_models.tables import click_times, content_tokens, items, sessions
from online_models.vectors import two_towers

TABLES: tuple[Table, ...] = tuple(
    table
    for module in (
        *(state, top_k),
        *(items, sessions, click_times, content_tokens),
        sources,
        two_towers,
        *(
            conditions,
            item_filter,
            listed_items,
            blend,
            blend_step,
            past_share,
            new_share,
            candidates,
        ),
        *(features, network, prequential),
        *(rankings, page),
    )
    for table in module.TABLES
)
"""In the order of the fields of `State`."""

ID_BYTES = 200
"""An item's id in Python: the string, its entry in a list and its entry in a dictionary."""

_BY_NAME = {table.name: table for table in TABLES}

structref.define_proxy(State, StateType, unique("tables", (table.name for table in TABLES)))


@njit(cache=True)
def _bound(*arrays: NDArray[Any]) -> State:
    """Wrap numba's constructor, which cannot be cached: each process would compile it for 2 s."""
    return State(*arrays)


def bind(arrays: Arrays) -> State:
    """Return the kernels' view of all tables."""
    return _bound(*(arrays[table.name] for table in TABLES))


def new_arrays(limits: Limits, seed: int = 0, used: Collection[Table] = TABLES) -> Arrays:
    """Return the tables of models that have learned nothing.

    Parameters
    ----------
    limits
        Bounds of memory.
    seed
        Seed of everything random.
    used
        Tables that get their full size; the others are as small as possible.
    """
    arrays = allocate(tuple(t for t in TABLES if t in used), limits, seed)
    arrays |= allocate(tuple(t for t in TABLES if t not in used), SMALLEST, seed)
    arrays["counters"]["random"] = first_random(seed)
    return arrays


def new_state(
    limits: Limits, seed: int = 0, used: Collection[Table] = TABLES
) -> tuple[Arrays, State]:
    """Return tables as `new_arrays` makes them, and the kernels' view of them."""
    arrays = new_arrays(limits, seed, used)
    return arrays, bind(arrays)


def used_entries(name: str, arrays: Arrays, limits: Limits) -> int:
    """Return how many leading entries of a table are in use; the others are as they began."""
    counters, whole = arrays["counters"][0], len(arrays[name])
    kept = _BY_NAME[name].kept
    if kept is Kept.ROWS:
        return int(counters["rows"]) + 1
    if kept is Kept.SESSIONS:
        return min(int(counters["next_session"]), limits.max_sessions)
    if kept is Kept.CASES:
        return min(int(counters["cases_seen"]), whole)
    if kept is Kept.ARENA:
        return int(arrays[f"{name}_meta"][BUMP])
    return whole


def max_bytes(limits: Limits, but: Collection[str] = ()) -> int:
    """Return the most bytes that the models may take: all tables at their limits, and item ids.

    Tables named in ``but`` are left out.

    Pages that are never touched take no memory: vectors where none are learned, content where there
    is no catalogue.
    """
    tables = sum(table.nbytes(limits) for table in TABLES if table.name not in but)
    return tables + limits.rows * ID_BYTES
