"""Which items' vectors are published next: those that have moved furthest, and a few in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.learners.vector_items import VectorItems
from online_models.memory.state import State
from online_models.tables.item_rows import DELETED
from online_models.vectors.two_towers import DIMENSIONS, current

HALF = np.dtype("<f2")
"""Of what is published; see `records.item_vectors`."""

PUBLISH_SHARE = 0.05
"""A vector is published once it has moved by this share of its length: 1.5 items per click at 200
clicks a second. With a share of 0.02 it would be 3."""

MOST_LOOKED_AT = 1 << 16
"""The most items that one publication checks: some 10 ms."""

WITH_CONTENT, ROWS_SEARCHED = 200, 4_096
"""Items with content that each publication checks, in turn, and the rows that it searches for
them."""

CLICKS_A_ROW, MOST_AGAIN = 16, 100
"""One row in turn is published again with every `CLICKS_A_ROW` clicks, some 4 % of what is
published; the most of them in one publication."""


@njit(cache=True, fastmath=True)
def _moved(
    st: State, rows: NDArray[np.int64], published: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return how far rows have moved from what was published, as a share of their length."""
    out = np.zeros(len(rows), np.float32)
    now = np.zeros(2 * DIMENSIONS, np.float32)
    for i in range(len(rows)):
        k = rows[i]
        current(st, k, now)
        moved = np.float32(0)
        size = np.float32(1e-12)
        for d in range(2 * DIMENSIONS):
            x = now[d] - published[k, d]
            moved += x * x
            size += now[d] * now[d]
        out[i] = np.sqrt(moved / size)
    return out


@njit(cache=True)
def _publish(st: State, rows: NDArray[np.int64], published: NDArray[np.float32]) -> None:
    for k in rows:
        current(st, k, published[k])


class Publication:
    """What has been published of each row, and which rows to look at.

    It is stored, as ``p<row>``, so that after a restart the same is published again: vectors that
    have moved by less than `PUBLISH_SHARE` would change answers that nobody has clicked on since.

    Parameters
    ----------
    items
        The items and their rows.
    state
        The kernels' view of their tables.
    """

    def __init__(self, items: VectorItems, state: State) -> None:
        self._items = items
        self._state = state
        self._published = np.zeros((items.limits.rows, 2 * DIMENSIONS), np.float32)
        self._waiting: dict[int, None] = {}
        self._due = np.zeros(items.limits.rows, np.bool_)
        """Which rows are published again though they have not moved."""
        self._unstored: dict[int, None] = {}
        """Rows of which something else has been published since `changes` was called."""
        self._checked = 0
        """Last row that was searched for content."""
        self._again = 0
        """Last row that was published in turn."""
        self._clicks = 0
        """Clicks by which rows have been published in turn."""

    def note(self, rows: Iterable[int]) -> None:
        """Look at rows in the next publication, since they have moved."""
        self._waiting.update(dict.fromkeys(rows))

    def forget(self, row: int) -> None:
        """Publish a row even if it has not moved: it was withdrawn, or is another item's now."""
        self._published[row] = 0
        self._unstored[row] = None

    def changes(self) -> dict[str, bytes]:
        """Return what has been published since the last call, by name; empty: nothing."""
        rows = list(self._unstored)
        self._unstored.clear()
        halves = self._published[rows].astype(HALF)
        return {
            f"p{row}": half.tobytes() if half.any() else b""
            for row, half in zip(rows, halves, strict=True)
        }

    def load(self, published: Mapping[str, bytes]) -> None:
        """Load all that `changes` has ever returned, and publish every row again."""
        for name, value in published.items():
            self._published[int(name[1:])] = np.frombuffer(value, HALF)
        self._due[1 : len(self._items.ids)] = True
        self.note(range(1, len(self._items.ids)))
        self._clicks = self._items.clock

    def take(self, most: int) -> list[tuple[str, NDArray[np.float32]]]:
        """Return items and their vectors (2, 64): at most ``most``, those that moved furthest.

        The others wait for the next call. Items that have moved by less than `PUBLISH_SHARE` are
        left out until they move further.
        """
        self._look_at_content()
        self._look_again()
        rows = np.array(list(islice(self._waiting, MOST_LOOKED_AT)), np.int64)
        if len(rows) == 0:
            return []
        moved = _moved(self._state, rows, self._published)
        # Rows that no item has are flagged as deleted, too.
        there = self._items.arrays["stats"]["flags"][rows] & DELETED == 0
        far = there & (moved > PUBLISH_SHARE)
        due = there & (far | self._due[rows])
        for row in rows[~due].tolist():
            del self._waiting[row]
        first = np.flatnonzero(due)[np.argsort(-moved[due], kind="stable")[:most]]
        _publish(self._state, rows[first[far[first]]], self._published)
        rows = rows[first]
        self._due[rows] = False
        self._unstored.update(dict.fromkeys(rows.tolist()))
        out = []
        for row in rows.tolist():
            del self._waiting[row]
            vectors = self._published[row].reshape(2, DIMENSIONS).copy()
            out.append((self._items.ids[row], vectors))
        return out

    def _look_at_content(self) -> None:
        """Look at some items with content: tokens move with every click on any of their items."""
        if self._items.arrays["counters"]["items_with_content"][0] == 0:
            return
        first = self._checked + 1 if self._checked + 1 < len(self._items.ids) else 1
        end = min(first + ROWS_SEARCHED, len(self._items.ids))
        tokens = self._items.arrays["item_tokens"][first:end, 0]
        found = first + np.flatnonzero(tokens)[:WITH_CONTENT]
        self.note(found.tolist())
        self._checked = int(found[-1]) if len(found) == WITH_CONTENT else end - 1

    def _look_again(self) -> None:
        """Publish some rows again, in turn.

        Replicas have vectors of the items that they have rows for. One that an item has left, or
        that kept its early vectors no longer, has them again after one round.
        """
        rows = len(self._items.ids) - 1
        n = min((self._items.clock - self._clicks) // CLICKS_A_ROW, MOST_AGAIN, rows)
        if n > 0:
            again = 1 + (self._again + np.arange(n)) % rows
            self._published[again] = 0
            self.note(again.tolist())
            self._again = int(again[-1])
            self._clicks += n * CLICKS_A_ROW
