"""Slabs: pieces of a flat array in a few sizes, taken and given back by their places.

For lists that grow, so that those of rare items stay cheap:

    arena  | 8 entries | 32 entries ............ | 8 (free) | 128 entries .......... |  unused
             place 0     place 8                   place 40   place 48             bump ^  limit ^

    meta   [ -, head of free 8s = 41, head of free 32s = 0, ..., bump, limit ]

A free slab's first word holds the head that was there before it: a list by size. Heads are
places plus one, so that zero means "none". Slab 0 is "no slab yet".
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.table import Initial, Kept, Table

BUMP, LIMIT = 6, 7
"""Places in an arena's meta: the first entry never used, and the number of entries."""

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
    """Return the place of a free slab of ``sizes[slab]`` entries, -1 if the arena is full.

    ``words`` are the arena's bytes as words, ``stride`` of them an entry.

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
    """Put a slab back."""
    words[place * stride] = meta[slab]
    meta[slab] = place + 1
