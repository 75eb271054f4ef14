"""Slabs: pieces of a flat array (the arena) in a few sizes, allocated and freed by their place.

They hold lists that grow, so that those of rare items stay small:

    arena  | 8 entries | 32 entries ............ | 8 (free) | 128 entries .......... |  unused
             place 0     place 8                   place 40   place 48             bump ^  limit ^

    meta   [ -, head of free 8s = 41, head of free 32s = 0, ..., hand, bump, limit ]

Free slabs of a size form a linked list: the first word of each holds the head before it. Heads are
places plus one, so that zero means "none". Slab number 0 means "no slab yet". In a full arena, a
free slab of a larger size is split; where there is none, a list that is much longer can be made
shorter (`longer_list`): otherwise the first items would keep all room for ever.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.table import Initial, Kept, Table

HAND, BUMP, LIMIT = 5, 6, 7
"""Places in an arena's meta: the owner at which the search for a longer list goes on, the first
entry that was never used, and the number of entries."""

LOOKED_AT = 16
"""Owners that one search looks at."""

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
    if place + sizes[slab] <= meta[LIMIT]:
        meta[BUMP] = place + sizes[slab]
        return place
    for larger in range(slab + 1, len(sizes)):
        head = meta[larger]
        if head > 0:
            meta[larger] = words[(head - 1) * stride]
            give_rest(words, stride, meta, sizes, slab, head - 1, sizes[larger])
            return head - 1
    return -1


@njit(cache=True)
def give(words: Words, stride: int, meta: Meta, slab: int, place: int) -> None:
    """Free a slab."""
    words[place * stride] = meta[slab]
    meta[slab] = place + 1


@njit(cache=True)
def give_rest(
    words: Words, stride: int, meta: Meta, sizes: Meta, slab: int, place: int, size: int
) -> None:
    """Free what is left of ``size`` entries at ``place`` once a slab has the first of them."""
    for at in range(sizes[slab], size - sizes[slab] + 1, sizes[slab]):
        give(words, stride, meta, slab, place + at)


@njit(cache=True)
def longer_list(meta: Meta, slabs: NDArray[np.int16], rows: int, slab: int) -> int:
    """Return a row whose list is in a larger slab than ``slab``; 0 if this search finds none.

    ``slabs`` has the numbers of the rows' slabs, of the rows 1 to ``rows``.
    """
    for _ in range(LOOKED_AT):
        row = meta[HAND] % rows + 1
        meta[HAND] = row
        if slabs[row] > slab:
            return row
    return 0
