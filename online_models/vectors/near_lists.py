"""Lists of the items near to an item, made aside: a query of the index takes longer than an answer.

A list is made for an item once an answer has missed it, and again when one has found it old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from online_models.vectors.index import Vector, VectorIndex

LISTS, LENGTH = 4_096, 100
"""Lists held at most, and items in each: 4 MB. The one made longest ago makes room."""

WANTED = 1_024
"""Items that wait for a list at most."""

OLD_S = 0.5
"""A list older than this is made again when an answer reads it."""

LATEST = 2
"""Latest items of a session whose lists are read."""

NOTHING = np.zeros(0, np.int64)


class NearestItems:
    """Holds the lists. One thread reads and asks for them, another makes them.

    Parameters
    ----------
    index
        Finds the rows.
    vectors
        By row, (rows, 64): what an item's list is near to.
    clock
        Seconds, never backwards.
    """

    def __init__(self, index: VectorIndex, vectors: Vector, clock: Callable[[], float]) -> None:
        self._index = index
        self._vectors = vectors
        self._clock = clock
        self._lists: dict[int, tuple[float, NDArray[np.int64]]] = {}
        self._wanted: dict[int, None] = {}

    def near_to(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """Return rows near to the first `LATEST` known ones of ``rows``; notes missing lists."""
        found = []
        now = self._clock()
        for row in [row for row in rows if row][:LATEST]:
            made, near = self._lists.get(row, (0.0, NOTHING))
            found.append(near)
            if now - made > OLD_S and len(self._wanted) < WANTED:
                self._wanted[row] = None
        return np.concatenate(found) if found else NOTHING

    def make(self, at_most: int) -> int:
        """Make lists that were asked for, the first ones first; returns how many."""
        n = 0
        for row in list(self._wanted)[:at_most]:
            vector = self._vectors[row]
            near = self._index.query(vector, LENGTH)[0] if vector.any() else NOTHING
            self._lists.pop(row, None)
            if len(self._lists) >= LISTS:
                del self._lists[next(iter(self._lists))]
            self._lists[row] = self._clock(), near
            del self._wanted[row]
            n += 1
        return n
