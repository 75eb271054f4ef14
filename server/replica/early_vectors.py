"""Vectors of items that have no row here: kept for a while, until the item gets one."""

from __future__ import annotations

from online_models.memory.sharded_dict import ShardedQueue

MOST_EARLY = 32_768
"""The most items whose vectors are kept; a new one replaces the oldest."""


class EarlyVectors:
    """The latest records of `vectors` of items without a row.

    The log's topics are read side by side, so an item's vectors may come before its catalogue entry
    or its clicks do. They must not give it a row: any id that was ever clicked has vectors.

    >>> early = EarlyVectors(most=2)
    >>> for item_id in ("a", "b", "c"):
    ...     early.keep(item_id, b"record")
    >>> "a" in early, "c" in early
    (False, True)
    """

    def __init__(self, most: int = MOST_EARLY) -> None:
        self._most = most
        self._records = ShardedQueue[bytes]()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._records

    def keep(self, item_id: str, record: bytes) -> None:
        """Keep an item's latest record."""
        self._records.pop(item_id, None)
        if len(self._records) >= self._most and (oldest := self._records.first()):
            del self._records[oldest]
        self._records[item_id] = record

    def take(self, item_id: str) -> bytes | None:
        """Return an item's record and keep it no longer; None if there is none."""
        return self._records.pop(item_id, None)
