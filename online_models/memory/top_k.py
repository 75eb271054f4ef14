"""Selection and sorting of few among many, in place and without allocation."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.table import Table

MAX_SORTED = 512
"""The most places that are sorted."""

TABLES = (
    Table("sort_keys", np.float32, (MAX_SORTED,)),
    Table("sort_places", np.int32, (MAX_SORTED,)),
)

LOWEST = np.float32(-3e38)


@njit(cache=True)
def top_k(values: NDArray[np.float32], n: int, k: int, order: NDArray[np.int32]) -> int:
    """Set ``order[:min(n, k)]`` to the places of the largest of ``values[:n]``, unordered.

    Hoare's quickselect; returns min(n, k).

    >>> order = np.zeros(4, np.int32)
    >>> top_k(np.array([1, 4, 2, 3], np.float32), 4, 2, order)
    2
    >>> sorted(order[:2].tolist())
    [1, 3]
    """
    for i in range(n):
        order[i] = i
    if n <= k:
        return n
    lo = 0
    hi = n - 1
    while lo < hi:
        pivot = values[order[(lo + hi) >> 1]]
        i = lo
        j = hi
        while i <= j:
            while values[order[i]] > pivot:
                i += 1
            while values[order[j]] < pivot:
                j -= 1
            if i <= j:
                x = order[i]
                order[i] = order[j]
                order[j] = x
                i += 1
                j -= 1
        if k - 1 <= j:
            hi = j
        elif k - 1 >= i:
            lo = i
        else:
            break
    return k


@njit(cache=True)
def sort_places(
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    n: int,
    keys: NDArray[np.float32],
    places: NDArray[np.int32],
) -> None:
    """Sort ``order[:n]`` by descending value, equal values by place: answers are repeatable.

    Each place moves to the index given by the number of places before it: n * n comparisons (n is
    at most `MAX_SORTED`), but branch-free and 16 at a time. 64 places take 1 us; a heap takes 6.
    ``keys`` and ``places`` are scratch: ``st.sort_keys`` and ``st.sort_places``.

    >>> order = np.array([0, 1, 2, 3], np.int32)
    >>> keys, places = np.zeros(4, np.float32), np.zeros(4, np.int32)
    >>> sort_places(np.array([1, 3, 3, 2], np.float32), order, 4, keys, places)
    >>> order.tolist()
    [1, 2, 3, 0]
    """
    for i in range(n):
        places[i] = order[i]
        key = values[order[i]]
        keys[i] = LOWEST if math.isnan(key) else key  # else two might get the same index
    for i in range(n):
        key, place = keys[i], places[i]
        before = np.int32(0)
        for j in range(n):
            before += np.int32((keys[j] > key) | ((keys[j] == key) & (places[j] < place)))
        order[before] = place
