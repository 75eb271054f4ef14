"""Successors of pairs: the items that followed the last two items.

A hash table without chaining: a new pair overwrites the one in its slot.

    st.pairs[slot]   | key = a << 32 | b | items[0..5] | weights[0..5] | spare |   64 bytes
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.memory.table import Forget, Kept, Table
from online_models.sources.own_session import own_steps
from online_models.sources.pool import place_in_pool
from online_models.sources.source import Column, Source
from online_models.tables.sessions import items_of

PAIR_SUCCESSORS = 6
"""Successors kept of a pair of items."""

PAIR = np.dtype(
    [
        ("key", "i8"),
        ("items", "i4", (PAIR_SUCCESSORS,)),
        ("weights", "f4", (PAIR_SUCCESSORS,)),
        ("spare", "i8"),
    ]
)


@njit(cache=True, inline="always")
def pair_slot(a: int, b: int, size: int):  # type: ignore[no-untyped-def]
    """Return (slot in a table of ``size`` pairs, key) of two items in order.

    ``size`` is a power of two.

    >>> pair_slot(3, 5, 1024)
    (372, 12884901893)
    >>> pair_slot(5, 3, 1024)[1] == 5 << 32 | 3
    True
    """
    key = (np.int64(a) << 32) | np.int64(b)
    mixed = np.int64(a) * 1000003 + np.int64(b) * 7919 + (np.int64(a) >> 5) * 31
    return mixed & (size - 1), key


@njit(cache=True)
def add_pair(st: State, a: int, b: int, item: int) -> None:
    """Count ``item`` as the successor of the items ``a``, ``b``."""
    slot, key = pair_slot(a, b, len(st.pairs))
    p = st.pairs[slot]
    if p.key != key:
        p.key = key
        for c in range(PAIR_SUCCESSORS):
            p.items[c] = 0
            p.weights[c] = 0
    weakest = 0
    for c in range(PAIR_SUCCESSORS):
        if p.items[c] == item or p.items[c] == 0:
            p.items[c] = item
            p.weights[c] += 1
            return
        if p.weights[c] < p.weights[weakest]:
            weakest = c
    p.items[weakest] = item
    p.weights[weakest] = p.weights[weakest] * 0.5 + 1


def _places(pairs: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Return the slots of pairs in a table of ``size`` pairs."""
    first, second = pairs["key"] >> 32, pairs["key"] & 0xFFFFFFFF
    return np.asarray(pair_slot.py_func(first, second, size)[0], np.int64)


@njit(cache=True)
def _forget(st: State, slot: int) -> None:
    """Drop successors that leave; drop the pair if one of its own items does."""
    p = st.pairs[slot]
    if p.key == 0:
        return
    a, b = np.int64(st.becomes[p.key >> 32]), np.int64(st.becomes[p.key & 0xFFFFFFFF])
    p.key = a << 32 | b if a != 0 and b != 0 else 0
    kept = 0
    for c in range(PAIR_SUCCESSORS):
        item, weight = st.becomes[p.items[c]], p.weights[c]
        p.items[c] = 0
        p.weights[c] = 0
        if p.key != 0 and item != 0:
            p.items[kept] = item
            p.weights[kept] = weight
            kept += 1


@njit(cache=True)
def _learn(st: State) -> None:
    """Count the click as the successor of the two steps before it."""
    click = st.click[0]
    place = click.place
    kept, first = items_of(st, click.slot)
    if place > 1 and kept[first + place - 2] != 0 and kept[first + place - 1] != 0:
        add_pair(st, kept[first + place - 2], kept[first + place - 1], click.row)


@njit(cache=True, fastmath=True)
def _successors(st: State, a: int, b: int, n: int, column: int) -> int:
    """Add the successors of the items ``a``, ``b`` with their shares; return the pool's size."""
    slot, key = pair_slot(a, b, len(st.pairs))
    p = st.pairs[slot]
    if p.key != key:
        return n
    total = np.float32(1)
    for c in range(PAIR_SUCCESSORS):
        total += p.weights[c]
    kept, first, m = own_steps(st)
    for c in range(PAIR_SUCCESSORS):
        if p.items[c] == 0:
            continue
        w = p.weights[c]
        for i in range(m - 2):
            own_pair = kept[first + i] == a and kept[first + i + 1] == b
            if own_pair and kept[first + i + 2] == p.items[c]:
                w -= np.float32(1)
        if w > 0:
            r, n = place_in_pool(st, p.items[c], n)
            st.score[r, column] = w / total
    return n


@njit(cache=True, fastmath=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Add the items that followed the query's last two items."""
    query, n = st.query, st.request[0].n_query
    if n > 1 and query[n - 1] != 0 and query[n - 2] != 0:
        size = st.found[0].pool_size
        st.found[0].pool_size = _successors(st, query[n - 2], query[n - 1], size, column)


SOURCE = Source(
    "last two items together",
    columns=(Column("pair", "rules", 0.42, 0.40),),
    names_at_most=PAIR_SUCCESSORS,
    retrieve=_retrieve,
    learn=_learn,
    tables=(Table("pairs", PAIR, ("pairs",), Kept.HASHED, forget=Forget(_forget), place=_places),),
)
