"""The models' own random numbers: part of their state, so learning is reproducible."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State

FIRST_RANDOM = 88_172_645_463_325_252
"""Initial state of the generator for seed 0 (xorshift; Marsaglia, "Xorshift RNGs", 2003)."""


def first_random(seed: int) -> int:
    """Return the state of the generator for a seed."""
    return FIRST_RANDOM + 7_919 * seed


@njit(cache=True)
def random_below(st: State, n: int):  # type: ignore[no-untyped-def]
    """Return a number in 0..n-1."""
    x = np.uint64(st.counters[0].random)
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    st.counters[0].random = np.int64(x)
    return np.int64((x >> np.uint64(11)) % np.uint64(n))
