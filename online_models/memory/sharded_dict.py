"""Dictionaries in parts, so that none of them grows all at once.

A dictionary that grows, or whose deleted entries have used up its room, is copied as a whole: with
262,144 entries that took 12 to 25 ms, with a million 55 to 126, and all answers wait meanwhile.
Here a key's hash says in which of `SHARDS` dictionaries it is, each of which is copied alone.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import chain
from typing import TypeVar, overload

SHARDS = 256
"""With a million entries, each of them is copied in 0.3 ms."""

_SHIFT = 24
"""The lowest bits of a hash are those by which a dictionary places its keys."""

V = TypeVar("V")
D = TypeVar("D")


class ShardedDict(MutableMapping[str, V]):
    """A dictionary that is copied in parts when it grows; in no order.

    Parameters
    ----------
    entries
        What it holds at first.

    Examples
    --------
    >>> rows = ShardedDict([("a", 1), ("b", 2)])
    >>> rows["a"], rows.get("c", 0), len(rows)
    (1, 0, 2)
    >>> rows.values_of(["b", "c"], 0)
    [2, 0]
    """

    __slots__ = ("_n", "_shards")

    def __init__(self, entries: Iterable[tuple[str, V]] = ()) -> None:
        self._shards: list[dict[str, V]] = [{} for _ in range(SHARDS)]
        self._n = 0
        self.update(entries)

    def __getitem__(self, key: str) -> V:
        return self._shards[hash(key) >> _SHIFT & SHARDS - 1][key]

    @overload
    def get(self, key: str) -> V | None: ...
    @overload
    def get(self, key: str, default: V) -> V: ...
    @overload
    def get(self, key: str, default: D) -> V | D: ...
    def get(self, key: str, default: D | None = None) -> V | D | None:
        """Return a key's value, ``default`` if there is none."""
        return self._shards[hash(key) >> _SHIFT & SHARDS - 1].get(key, default)

    def values_of(self, keys: Iterable[str], default: D) -> list[V | D]:
        """Return the values of keys, ``default`` for those that have none."""
        shards = self._shards
        return [shards[hash(key) >> _SHIFT & SHARDS - 1].get(key, default) for key in keys]

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) >> _SHIFT & SHARDS - 1]

    def __setitem__(self, key: str, value: V) -> None:
        shard = self._shards[hash(key) >> _SHIFT & SHARDS - 1]
        self._n -= len(shard)
        shard[key] = value
        self._n += len(shard)

    def __delitem__(self, key: str) -> None:
        del self._shards[hash(key) >> _SHIFT & SHARDS - 1][key]
        self._n -= 1

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._shards)


class ShardedQueue(MutableMapping[str, V]):
    """The same in order: iterating begins with the key that was set longest ago.

    Examples
    --------
    >>> queue = ShardedQueue()
    >>> queue["a"], queue["b"], queue["a"] = 1, 2, 3
    >>> queue.first(), list(queue.items())
    ('b', [('b', 2), ('a', 3)])
    """

    __slots__ = ("_firsts", "_n", "_next", "_shards")

    def __init__(self) -> None:
        # The first of a plain dictionary is found only after all that were taken before it.
        self._shards: list[OrderedDict[str, tuple[int, V]]] = [OrderedDict() for _ in range(SHARDS)]
        self._firsts: list[tuple[int, int]] = [(0, which) for which in range(SHARDS)]
        """A heap of (at most the number of its first key, shard)."""
        self._next = 0
        self._n = 0

    def _shard(self, key: object) -> OrderedDict[str, tuple[int, V]]:
        return self._shards[hash(key) >> _SHIFT & SHARDS - 1]

    def __getitem__(self, key: str) -> V:
        return self._shard(key)[key][1]

    def __contains__(self, key: object) -> bool:
        return key in self._shard(key)

    def __setitem__(self, key: str, value: V) -> None:
        shard = self._shard(key)
        self._n -= len(shard)
        shard[key] = self._next, value
        shard.move_to_end(key)
        self._next += 1
        self._n += len(shard)

    def __delitem__(self, key: str) -> None:
        del self._shard(key)[key]
        self._n -= 1

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return (key for _, key in heapq.merge(*map(_numbered, self._shards)))

    def first(self) -> str | None:
        """Return the key that was set longest ago, None if there is none."""
        if not self._n:
            return None
        while True:
            bound, which = self._firsts[0]
            # An empty shard gets no key with a smaller number than the next one.
            number, key = next(_numbered(self._shards[which]), (self._next, ""))
            if number == bound:
                return key
            heapq.heapreplace(self._firsts, (number, which))


def _numbered(shard: OrderedDict[str, tuple[int, V]]) -> Iterator[tuple[int, str]]:
    return ((number, key) for key, (number, _) in shard.items())
