"""Vectors that are held until the clicks that they were learned from are applied here, too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_HELD = 500_000
"""The most held vectors; a new one replaces the oldest."""


class HeldVector(NamedTuple):
    """An item's two vectors, and their learner's next offset of each partition of `sessions`."""

    item_id: str
    context: NDArray[np.float32]
    target: NDArray[np.float32]
    offsets: Sequence[int]


class HeldVectors:
    """A queue in the order of arrival.

    With vectors that were already learned from its click, an example would teach the ranker to
    trust vectors more than it can when answering: that cost 2 points of MRR in a bootstrap.
    """

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._held: deque[HeldVector] = deque(maxlen=limit)

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, vector: HeldVector) -> None:
        """Keep an item's vectors for later."""
        self._held.append(vector)

    def drop(self, item_id: str) -> None:
        """Drop an item's vectors, after its tombstone."""
        if self._held:
            left = (held for held in self._held if held.item_id != item_id)
            self._held = deque(left, self._held.maxlen)

    def release(self, applied: Callable[[int], int]) -> Iterator[HeldVector]:
        """Yield and remove the vectors all of whose clicks have been applied.

        Parameters
        ----------
        applied
            Returns this replica's next offset of a partition of `sessions`.
        """
        held = self._held
        while held and all(applied(p) >= offset for p, offset in enumerate(held[0].offsets)):
            yield held[0]
            held.popleft()
