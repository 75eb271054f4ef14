"""Vectors of items that have no row here: kept for a while, until the item gets one."""

from __future__ import annotations

from online_models.memory.sharded_dict import ShardedQueue
from records.item_vectors import ItemVectors

MOST_EARLY = 32_768
"""The most items whose vectors are kept, some 1 kB each; a new one replaces the oldest."""


class EarlyVectors:
    """The latest vectors of items without a row.

    The log's topics are read side by side, so an item's vectors may come before its catalogue entry
    or its clicks do. They must not give it a row: any id that was ever clicked has vectors.

    >>> early = EarlyVectors(most=2)
    >>> for item_id in ("a", "b", "c"):
    ...     early.keep(item_id, None)
    >>> "a" in early, "c" in early
    (False, True)
    """

    def __init__(self, most: int = MOST_EARLY) -> None:
        self._most = most
        self._vectors = ShardedQueue[ItemVectors]()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._vectors

    def keep(self, item_id: str, vectors: ItemVectors) -> None:
        """Keep an item's latest vectors."""
        self._vectors.pop(item_id, None)
        if len(self._vectors) >= self._most and (oldest := self._vectors.first()):
            del self._vectors[oldest]
        self._vectors[item_id] = vectors

    def take(self, item_id: str) -> ItemVectors | None:
        """Return an item's vectors and keep them no longer; None if there are none."""
        return self._vectors.pop(item_id, None)
