"""Sets of rows as bits, 64 in a word: a row is in a set of a million in 125 kB, or it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits

Words = NDArray[np.int64]

WORD = 64


def words(limits: Limits) -> int:
    """Return the words of a set of rows."""
    return -(-limits.rows // WORD)


@njit(cache=True, inline="always")
def has_bit(bits: Words, row: int) -> bool:
    """Whether a row is in a set."""
    return (bits[row >> 6] >> (row & 63)) & 1 != 0


@njit(cache=True)
def put_bit(bits: Words, row: int, there: bool) -> None:
    """Put a row into a set, or take it out.

    >>> bits = np.zeros(2, np.int64)
    >>> put_bit(bits, 65, True)
    >>> bits.tolist(), has_bit(bits, 65), has_bit(bits, 1)
    ([0, 2], True, False)
    """
    bit = np.int64(1) << np.int64(row & 63)
    if there:
        bits[row >> 6] |= bit
    else:
        bits[row >> 6] &= ~bit


@njit(cache=True)
def put_bits(bits: Words, rows: NDArray[np.int32], there: bool) -> None:
    """Put rows (n,) into a set, or take them out."""
    for row in rows:
        bit = np.int64(1) << np.int64(row & 63)
        if there:
            bits[row >> 6] |= bit
        else:
            bits[row >> 6] &= ~bit


@njit(cache=True)
def lowest_bit(word: Any) -> int:
    """Return the place of the lowest bit of a word that is not 0.

    >>> lowest_bit(1), lowest_bit(40), lowest_bit(-(1 << 63))
    (0, 3, 63)
    """
    word = np.int64(word)
    place = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word & ((np.int64(1) << np.int64(step)) - 1) == 0:
            word >>= np.int64(step)
            place += step
    return place
