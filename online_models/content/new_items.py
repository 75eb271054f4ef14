"""Keeps, for each item, the new items that are most like it (`sources.new_items`).

A new item is put on the lists of those that it is like once it has a content vector, and again from
time to time: vectors change with the basis, and lists get shorter as items on them are clicked.
That takes a search of the index, as long as an answer, so `list_next` does it aside, an item at a
time.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.content.vectors import ContentVectors
from online_models.memory.table import Arrays
from online_models.sources.new_items import LISTED, NEW_CLICKS, is_new

ALIKE = 256
"""The most items on whose lists a new one is put."""

LEAST = np.float32(0.3)
"""Items with a smaller cosine are not like each other."""

WAITING = 65_536
"""New items that wait for their lists, at most; a further one takes the place of the oldest."""


class NewItems:
    """Knows which new items wait to be put on lists.

    Parameters
    ----------
    content
        The content vectors.
    arrays
        The models' tables.
    """

    def __init__(self, content: ContentVectors, arrays: Arrays) -> None:
        self._content = content
        self._stats, self._lists = arrays["stats"], arrays["like"]
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._again: list[int] = []

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._waiting) + len(self._again)

    def note(self, row: int) -> None:
        """Note that an item was added to the catalogue, or has changed there."""
        if self._stats["clicks"][row] < NEW_CLICKS:
            self._waiting[row] = None
            if len(self._waiting) > WAITING:
                self._waiting.popitem(last=False)

    def renew(self) -> None:
        """Have all new items put on lists again, behind those that were noted.

        Takes a millisecond for a million items. Does nothing while some wait since the last time.
        """
        if self._again:
            return
        rows = self._content.rows()
        self._again = rows[self._stats["clicks"][rows] < NEW_CLICKS][: -WAITING - 1 : -1].tolist()

    def list_next(self) -> bool:
        """Put the newest item on the lists; False if none waits, or they cannot be searched yet."""
        if not self._content.listable:
            return False
        if self._waiting:
            row, _ = self._waiting.popitem()
        elif self._again:
            row = self._again.pop()
        else:
            return False
        rows, cosines = self._content.near(row, ALIKE)
        put_on_lists(self._lists, self._stats, row, rows, cosines)
        return True


@njit(cache=True)
def _put(lists: NDArray[np.void], stats: NDArray[np.void], owner: int, row: int, cosine: float):  # type: ignore[no-untyped-def]
    """Put a new item on an item's list, before those that are not more like it.

    What it had of the item, and of items that are new no longer, is dropped.
    """
    listed = lists[owner]
    n = 0
    for i in range(LISTED):
        other = listed[i].row
        if other == 0:
            break
        if other != row and is_new(stats, other):
            listed[n].row = other
            listed[n].cosine = listed[i].cosine
            n += 1
    for i in range(n, LISTED):
        listed[i].row = 0
    at = n
    while at > 0 and listed[at - 1].cosine <= cosine:
        at -= 1
    if at == LISTED:
        return
    for i in range(min(n, LISTED - 1), at, -1):
        listed[i].row = listed[i - 1].row
        listed[i].cosine = listed[i - 1].cosine
    listed[at].row = row
    listed[at].cosine = cosine


@njit(cache=True)
def put_on_lists(
    lists: NDArray[np.void],
    stats: NDArray[np.void],
    row: int,
    rows: NDArray[np.int64],
    cosines: NDArray[np.float32],
) -> None:
    """Put a new item on the lists of the items ``rows`` (n,), and those that are new on its own."""
    if not is_new(stats, row):
        return
    for i in range(len(rows)):
        if cosines[i] >= LEAST:
            _put(lists, stats, rows[i], row, cosines[i])
            if is_new(stats, rows[i]):
                _put(lists, stats, row, rows[i], cosines[i])
