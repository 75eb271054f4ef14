"""Vectors that are held until the clicks that they were learned from are applied here, too."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

MOST_HELD = 262_144
"""The most held vectors; a new one replaces the oldest. As many as a learner of the default limits
has when an emitter begins without a snapshot, and what it publishes in some 40 s of an import."""


class HeldVector(NamedTuple):
    """A record of `vectors`, and its learner's next offset of each partition of `sessions`."""

    item_id: str
    record: bytes
    offsets: Sequence[int]


class HeldVectors:
    """A queue in the order of arrival.

    With vectors that were already learned from its click, an example would teach the ranker to
    trust vectors more than it can when answering: that cost 2 points of MRR in a bootstrap.
    """

    def __init__(self, limit: int = MOST_HELD) -> None:
        self._limit = limit
        self._held: deque[HeldVector] = deque()
        self._number = 0
        """Number of the next one."""
        self._offsets: Sequence[int] = ()
        """Those of the last one: the learner publishes many vectors with the same."""
        self._counts: Counter[str] = Counter()
        self._dropped: dict[str, int] = {}
        """Items that were dropped, and the number of the first vector held since."""

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, vector: HeldVector) -> None:
        """Keep an item's vectors for later."""
        if len(self._held) >= self._limit:
            self._pop()
        if vector.offsets == self._offsets:
            vector = vector._replace(offsets=self._offsets)
        self._offsets = vector.offsets
        self._held.append(vector)
        self._number += 1
        self._counts[vector.item_id] += 1

    def drop(self, item_id: str) -> None:
        """Drop an item's vectors, after its tombstone: they leave the queue in their turn."""
        if item_id in self._counts:
            self._dropped[item_id] = self._number

    def release(self, applied: Callable[[int], int]) -> Iterator[HeldVector]:
        """Yield and remove the vectors all of whose clicks have been applied.

        Parameters
        ----------
        applied
            Returns this replica's next offset of a partition of `sessions`.
        """
        held = self._held
        while held and all(applied(p) >= offset for p, offset in enumerate(held[0].offsets)):
            vector = self._pop()
            if vector is not None:
                yield vector

    def _pop(self) -> HeldVector | None:
        """Remove the oldest; return it unless it was dropped."""
        number = self._number - len(self._held)
        vector = self._held.popleft()
        item_id = vector.item_id
        dropped = number < self._dropped.get(item_id, 0)
        self._counts[item_id] -= 1
        if not self._counts[item_id]:
            del self._counts[item_id]
            self._dropped.pop(item_id, None)
        return None if dropped else vector
