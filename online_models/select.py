"""Selection and sorting of few among many, in place and without allocation."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def top_k(values: NDArray[np.float32], n: int, k: int, order: NDArray[np.int32]) -> int:
    """Set ``order[:min(n, k)]`` to the places of the largest of ``values[:n]``, unordered.

    Hoare's quickselect; returns min(n, k).
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
def sort_places(values: NDArray[np.float32], order: NDArray[np.int32], n: int) -> None:
    """Sort ``order[:n]`` by falling value, equal values by place, so that answers repeat.

    Heap sort: answers may have 500 items.
    """
    for start in range(n // 2 - 1, -1, -1):
        _sift(values, order, start, n)
    for end in range(n - 1, 0, -1):
        x = order[end]
        order[end] = order[0]
        order[0] = x
        _sift(values, order, 0, end)


@njit(cache=True, inline="always")
def _worse(values: NDArray[np.float32], a: int, b: int) -> bool:
    return values[a] < values[b] or (values[a] == values[b] and a > b)


@njit(cache=True)
def _sift(values: NDArray[np.float32], order: NDArray[np.int32], root: int, n: int) -> None:
    """Restore the heap (worst on top) below ``root``."""
    while True:
        child = 2 * root + 1
        if child >= n:
            return
        if child + 1 < n and _worse(values, order[child + 1], order[child]):
            child += 1
        if not _worse(values, order[child], order[root]):
            return
        x = order[root]
        order[root] = order[child]
        order[child] = x
        root = child
