"""Slabs: pieces of a flat array (the arena) in a few sizes, allocated and freed by their place.

They hold lists that grow, so that those of rare items stay small:

    arena  | 8 entries | 32 entries ............ | 8 (free) | 128 entries .......... |  unused
             place 0     place 8                   place 40   place 48             bump ^  limit ^

    meta   [ -, head of free 8s = 41, head of free 32s = 0, ..., bump, limit ]

Free slabs of a size form a linked list: the first word of each holds the head before it. Heads are
places plus one, so that zero means "none". Slab number 0 means "no slab yet".
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.table import Initial, Kept, Table

BUMP, LIMIT = 6, 7
"""Places in an arena's meta: the first entry that was never used, and the number of entries."""

Words = NDArray[np.int32]
Meta = NDArray[np.int64]


def meta_table(arena: Table) -> Table:
    """Return the declaration of an arena's meta: (8,) int64."""

    def limit(meta: Meta, limits: Limits, seed: int) -> None:
        del seed
        meta[LIMIT] = arena.sizes(limits)[0]

    initial: Initial = limit
    return Table(f"{arena.name}_meta", np.int64, (8,), Kept.WHOLE, initial)


@njit(cache=True)
def take(words: Words, stride: int, meta: Meta, sizes: Meta, slab: int) -> int:
    """Allocate a slab of ``sizes[slab]`` entries; return its place, -1 if the arena is full.

    ``words`` are the arena's bytes as 4-byte words, ``stride`` of them per entry.

    >>> words, meta = np.zeros(40, np.int32), np.zeros(8, np.int64)
    >>> meta[LIMIT], sizes = 40, np.array([0, 8, 32])
    >>> take(words, 1, meta, sizes, 1), take(words, 1, meta, sizes, 2)
    (0, 8)
    >>> take(words, 1, meta, sizes, 1)
    -1
    >>> give(words, 1, meta, 1, 0)
    >>> take(words, 1, meta, sizes, 1)
    0
    """
    head = meta[slab]
    if head > 0:
        meta[slab] = words[(head - 1) * stride]
        return head - 1
    place = meta[BUMP]
    if place + sizes[slab] > meta[LIMIT]:
        return -1
    meta[BUMP] = place + sizes[slab]
    return place


@njit(cache=True)
def give(words: Words, stride: int, meta: Meta, slab: int, place: int) -> None:
    """Free a slab."""
    words[place * stride] = meta[slab]
    meta[slab] = place + 1
