"""Slabs: pieces of a flat array in a few sizes, taken and given back by their places.

Used for lists that grow (8 -> 32 -> 128 -> 512), so that rare items stay cheap. The
arena's ``meta`` holds one free list a slab size (place + 1 of its head; the next one is
in the slab's first word), the first place never used, and the limit.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import BUMP, LIMIT

Words = NDArray[np.int32]
Meta = NDArray[np.int64]


@njit(cache=True)
def take(words: Words, stride: int, meta: Meta, sizes: Meta, slab: int) -> int:
    """Return the place of a free slab of size ``sizes[slab]``, -1 if the arena is full."""
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
