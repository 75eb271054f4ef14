"""Vectors that wait until the clicks that they were learned from are applied here too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_HELD = 500_000
"""Vectors that wait at most; the oldest make room."""


class HeldVector(NamedTuple):
    """An item's two vectors, and the next offset of each partition of `sessions` they know."""

    item_id: str
    context: NDArray[np.float32]
    target: NDArray[np.float32]
    offsets: Sequence[int]


class HeldVectors:
    """A queue in the order of arrival.

    If an example were taken with vectors that already know its click, the ranker would learn to
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
        """Forget an item's vectors: its tombstone came."""
        if self._held:
            left = (held for held in self._held if held.item_id != item_id)
            self._held = deque(left, self._held.maxlen)

    def release(self, applied: Callable[[int], int]) -> Iterator[HeldVector]:
        """Yield the vectors that know no click that is still to come.

        Parameters
        ----------
        applied
            The next offset of a partition of `sessions` here.
        """
        held = self._held
        while held and all(applied(p) >= offset for p, offset in enumerate(held[0].offsets)):
            yield held[0]
            held.popleft()
