"""Item vectors learned click by click: two towers and a sampled softmax.

A session's vector is the decayed mean of its last items' input vectors; the next item's
output vector should have the largest product with it (Hidasi & Karatzoglou, "Recurrent
neural networks with top-k gains", CIKM 2018, without the recurrence). Negatives are
recent clicks, hence sampled by popularity; row-wise Adagrad.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.layout import (
    DIMENSIONS,
    NEGATIVES,
    NEGATIVES_SEEN,
    RANDOM,
    RECENT_CLICKS,
    VECTOR_ITEMS,
    State,
)

Vector = NDArray[np.float32]

DECAY = np.float32(0.7)
RATE = np.float32(0.3)
TINY_GRADIENT = np.float32(1e-4)
"""Negatives with less of the softmax are passed over: most of them, once it has learned."""


@njit(cache=True)
def random_below(st: State, n: int):  # type: ignore[no-untyped-def]
    """Xorshift: a number in 0..n-1 from the models' own generator."""
    x = np.uint64(st.ctr[RANDOM])
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    st.ctr[RANDOM] = np.int64(x)
    return np.int64((x >> np.uint64(11)) % np.uint64(n))


@njit(cache=True, fastmath=True)
def session_vector(st: State, items: NDArray[np.int32], first: int, n: int, out: Vector):  # type: ignore[no-untyped-def]
    """Set ``out`` to the decayed mean of the items ``items[first:first + n]``.

    Returns the sum of the weights, 0 if no item is known.
    """
    out[:] = 0
    w = np.float32(1)
    total = np.float32(0)
    for u in range(first + n - 1, max(first, first + n - VECTOR_ITEMS) - 1, -1):
        if items[u] == 0:
            continue
        e = st.vectors_in[items[u]]
        for d in range(DIMENSIONS):
            out[d] += w * e[d]
        total += w
        w *= DECAY
    if total > 0:
        for d in range(DIMENSIONS):
            out[d] /= total
    return total


@njit(cache=True, fastmath=True)
def _step(row: Vector, squares: Vector, which: int, gradient: Vector, scale: float) -> None:
    """Row-wise Adagrad: one sum of squares for all dimensions of a row."""
    s = np.float32(0)
    for d in range(DIMENSIONS):
        s += gradient[d] * gradient[d]
    squares[which] += s * scale * scale / np.float32(DIMENSIONS)
    rate = RATE * np.float32(scale) / np.sqrt(squares[which] + np.float32(1e-2))
    for d in range(DIMENSIONS):
        row[d] -= rate * gradient[d]


@njit(cache=True, fastmath=True)
def learn_next(st: State, items: NDArray[np.int32], first: int, n: int, target: int) -> None:
    """Learn that ``target`` follows the items ``items[first:first + n]``."""
    h, gh, logits, negatives = st.hidden[0], st.hidden[1], st.hidden[2], st.negatives
    total = session_vector(st, items, first, n, h)
    recent = min(st.ctr[NEGATIVES_SEEN], RECENT_CLICKS)
    if total == 0 or recent == 0:
        return
    top = np.float32(-1e30)
    for j in range(NEGATIVES + 1):
        k = target if j == 0 else st.recent_clicks[random_below(st, recent)]
        negatives[j] = k
        e = st.vectors_out[k]
        x = np.float32(0)
        for d in range(DIMENSIONS):
            x += h[d] * e[d]
        logits[j] = np.float32(-1e30) if j > 0 and k == target else x
        top = max(top, logits[j])
    z = np.float32(0)
    for j in range(NEGATIVES + 1):
        logits[j] = math.exp(logits[j] - top)
        z += logits[j]
    gh[:] = 0
    for j in range(NEGATIVES + 1):
        g = logits[j] / z - np.float32(1 if j == 0 else 0)
        if abs(g) < TINY_GRADIENT:
            continue
        k = negatives[j]
        e = st.vectors_out[k]
        for d in range(DIMENSIONS):
            gh[d] += g * e[d]
        _step(e, st.squares[k], 1, h, g)
    w = np.float32(1) / total
    for u in range(first + n - 1, max(first, first + n - VECTOR_ITEMS) - 1, -1):
        if items[u] != 0:
            _step(st.vectors_in[items[u]], st.squares[items[u]], 0, gh, w)
            w *= DECAY


@njit(cache=True)
def begin_vector(st: State, row: int) -> None:
    """Give a new item small random vectors."""
    for d in range(DIMENSIONS):
        st.vectors_in[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)
        st.vectors_out[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)


@njit(cache=True)
def note_click(st: State, row: int) -> None:
    """Remember a click for the drawing of negatives."""
    st.recent_clicks[st.ctr[NEGATIVES_SEEN] % RECENT_CLICKS] = row
    st.ctr[NEGATIVES_SEEN] += 1
