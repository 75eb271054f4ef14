"""Times at which items become available, or cease to be: a queue of them, for who has a clock.

Whether an item is available is judged by its own times at each request
(`online_models.ranking.item_filter`). What is here moves it to the ends of its lists, or back, so
that items whose time is over do not stand in the way of the others.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from online_models.memory.table import Arrays
from online_models.tables.item_rows import TIMED

SLACK = 1_024
"""Entries that the queue may have beside two for each row."""

SECOND_MS = 1_000


def seconds_from(milliseconds: int) -> int:
    """Return the first whole second that is not before a time."""
    return -(-milliseconds // SECOND_MS)


class Windows:
    """The queue of changes.

    Parameters
    ----------
    arrays
        The models' tables.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._stats: Any = arrays["stats"]
        self._changes: list[tuple[int, int]] = []
        """A heap of (time, row); one that the row's times do not have any more means nothing."""

    def put(self, row: int, from_s: int, until_s: int, now_s: int) -> None:
        """Set the times of a row, 0: none."""
        stat = self._stats[row]
        before = int(stat["from_s"]), int(stat["until_s"])
        stat["from_s"], stat["until_s"] = from_s, until_s
        for time_s in {from_s, until_s}.difference(before):
            if time_s > now_s:
                heapq.heappush(self._changes, (time_s, row))
        if len(self._changes) > 2 * len(self._stats) + SLACK:
            self.make()

    def make(self) -> None:
        """Make the queue from the times of all rows."""
        self._changes = [
            (int(self._stats[name][row]), int(row))
            for name in ("from_s", "until_s")
            for row in np.flatnonzero(self._stats[name])
            if self._stats["flags"][row] & TIMED
        ]
        heapq.heapify(self._changes)

    def closed(self, row: int, now_s: int) -> bool:
        """Whether a row is not available at a time because of its times; never at 0."""
        stat = self._stats[row]
        from_s, until_s = int(stat["from_s"]), int(stat["until_s"])
        return now_s > 0 and (now_s < from_s or 0 < until_s <= now_s)

    def due(self, now_s: int) -> bool:
        """Whether there is a change at a time, or before it."""
        return bool(self._changes) and self._changes[0][0] <= now_s

    def next(self) -> int:
        """Take the first change; return its row, 0 if it means nothing."""
        time_s, row = heapq.heappop(self._changes)
        stat = self._stats[row]
        return row if time_s in (int(stat["from_s"]), int(stat["until_s"])) else 0
