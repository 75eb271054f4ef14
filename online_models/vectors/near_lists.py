"""Lists of near items, made by another thread: a query of the index takes longer than an answer.

An item gets a list once an answer has needed one, and a new one when an answer finds it outdated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from online_models.vectors.index import VectorIndex
from online_models.vectors.main_index import Vector

LISTS, LENGTH = 4_096, 100
"""The most lists, and items in each: 4 MB. A new list replaces the oldest."""

WANTED = 1_024
"""The most items that wait for a list."""

OLD_S = 0.5
"""A list older than this is renewed when an answer reads it."""

LATEST = 2
"""The lists of near items of this many latest items of a session are read."""

NOTHING = np.zeros(0, np.int64)


class NearLists:
    """Holds the lists. One thread reads and requests them, another makes them.

    Parameters
    ----------
    find
        Returns the rows near a row, best first; called by the thread that makes the lists.
    clock
        Returns monotonic seconds.
    latest
        The lists of so many latest items of a session are read.
    """

    def __init__(
        self,
        find: Callable[[int], NDArray[np.int64]],
        clock: Callable[[], float],
        latest: int = LATEST,
    ) -> None:
        self._find = find
        self._clock = clock
        self._latest = latest
        self._lists: dict[int, tuple[float, NDArray[np.int64]]] = {}
        self._wanted: dict[int, None] = {}
        self._not_before = 0.0

    def forget_older(self) -> None:
        """Read no list that is older than now: its items may have left."""
        self._not_before = self._clock()

    def near_to(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """Return rows near the first known ones of ``rows``; request missing lists."""
        found = []
        now = self._clock()
        for row in [row for row in rows if row][: self._latest]:
            made, near = self._lists.get(row, (0.0, NOTHING))
            if made > self._not_before:
                found.append(near)
            if now - made > OLD_S and len(self._wanted) < WANTED:
                self._wanted[row] = None
        return np.concatenate(found) if found else NOTHING

    def make(self, at_most: int) -> int:
        """Make lists in the order of their requests; return how many."""
        n = 0
        for row in list(self._wanted)[:at_most]:
            made = self._clock()
            near = self._find(row)
            self._lists.pop(row, None)
            if len(self._lists) >= LISTS:
                del self._lists[next(iter(self._lists))]
            self._lists[row] = made, near
            del self._wanted[row]
            n += 1
        return n


class NearestItems(NearLists):
    """Lists of the items nearest to an item's own vector.

    Parameters
    ----------
    index
        Finds near rows.
    vectors
        Vectors by row, (rows, 64).
    clock
        Returns monotonic seconds.
    """

    def __init__(self, index: VectorIndex, vectors: Vector, clock: Callable[[], float]) -> None:
        def nearest(row: int) -> NDArray[np.int64]:
            vector = vectors[row]
            return index.query(vector, LENGTH)[0] if vector.any() else NOTHING

        super().__init__(nearest, clock)
