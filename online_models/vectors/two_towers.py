"""Item vectors learned click by click: two towers and a sampled softmax.

An item's vectors, one to be read in a session and one to be wanted next, are the sum of its own
row and the rows of its content's tokens, so a new item has some from its catalogue entry on. A
session's vector is the decayed mean of its last items'; the next item's vector should have the
largest product with it (Hidasi & Karatzoglou, "Recurrent neural networks with top-k gains",
CIKM 2018, without the recurrence). Negatives are recent clicks, hence sampled by popularity;
row-wise Adagrad.

The sums lie ready for use. Tokens that other items have moved meanwhile reach an item when it is
next learned or published (`refresh`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import (
    DIMENSIONS,
    ITEM_TOKENS,
    MOVED,
    NEGATIVES,
    NEGATIVES_SEEN,
    RANDOM,
    RECENT_CLICKS,
    TOKENED,
    VECTOR_ITEMS,
    State,
)

Vector = NDArray[np.float32]

DECAY = np.float32(0.7)
RATE = np.float32(0.3)
TINY_GRADIENT = np.float32(1e-3)
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
def session_vector(vectors: Vector, items: NDArray[np.int32], first: int, n: int, out: Vector):  # type: ignore[no-untyped-def]
    """Set ``out`` to the decayed mean of the vectors of ``items[first:first + n]``.

    Returns the sum of the weights, 0 if no item is known.
    """
    out[:] = 0
    w = np.float32(1)
    total = np.float32(0)
    for u in range(first + n - 1, max(first, first + n - VECTOR_ITEMS) - 1, -1):
        if items[u] == 0:
            continue
        e = vectors[items[u]]
        for d in range(DIMENSIONS):
            out[d] += w * e[d]
        total += w
        w *= DECAY
    if total > 0:
        for d in range(DIMENSIONS):
            out[d] /= total
    return total


@njit(cache=True, fastmath=True)
def refresh(st: State, row: int) -> None:
    """Add to an item's vectors what its tokens have moved since the last time."""
    if st.ctr[TOKENED] == 0:
        return
    tokens = st.item_tokens[row]
    if tokens[0] == 0:
        return
    v_in, v_out, before = st.vectors_in[row], st.vectors_out[row], st.token_sums[row]
    for d in range(DIMENSIONS):
        x = np.float32(0)
        y = np.float32(0)
        for j in range(ITEM_TOKENS):
            if tokens[j] == 0:
                break
            x += st.token_vectors[tokens[j], d]
            y += st.token_vectors[tokens[j], DIMENSIONS + d]
        v_in[d] += x - before[d]
        v_out[d] += y - before[DIMENSIONS + d]
        before[d] = x
        before[DIMENSIONS + d] = y


def set_tokens(arrays: dict[str, NDArray[Any]], st: State, row: int, tokens: Sequence[int]) -> None:
    """Have an item's vectors follow these tokens instead of those before; what it learned stays."""
    own = arrays["item_tokens"][row]
    if not tokens and not own[0]:
        return
    arrays["ctr"][TOKENED] += bool(tokens) - bool(own[0])
    own[:] = 0
    own[: len(tokens)] = tokens
    if tokens:
        refresh(st, row)
        return
    sums = arrays["token_sums"][row]
    arrays["vectors_in"][row] -= sums[:DIMENSIONS]
    arrays["vectors_out"][row] -= sums[DIMENSIONS:]
    sums[:] = 0


@njit(cache=True, fastmath=True)
def current(st: State, row: int, out: Vector) -> None:
    """Set ``out``, (128,), to an item's vectors as `refresh` would leave them; changes nothing."""
    for d in range(DIMENSIONS):
        out[d] = st.vectors_in[row, d]
        out[DIMENSIONS + d] = st.vectors_out[row, d]
    tokens = st.item_tokens[row]
    if tokens[0] == 0:
        return
    for d in range(2 * DIMENSIONS):
        x = np.float32(0)
        for j in range(ITEM_TOKENS):
            if tokens[j] == 0:
                break
            x += st.token_vectors[tokens[j], d]
        out[d] += x - st.token_sums[row, d]


@njit(cache=True)
def _note_moved(st: State, squares: Vector, name: int) -> None:
    """List a row (``name`` > 0) or token (< 0) among the moved ones, once."""
    if squares[2] == 0:
        squares[2] = 1
        st.moved[st.ctr[MOVED]] = name
        st.ctr[MOVED] += 1


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
def _step_item(st: State, row: int, which: int, gradient: Vector, scale: float) -> None:
    """Move an item's own row and its tokens' against a gradient; ``which``: 0 read, 1 wanted."""
    own = st.vectors_out[row] if which else st.vectors_in[row]
    _step(own, st.squares[row], which, gradient, scale)
    _note_moved(st, st.squares[row], row)
    if st.ctr[TOKENED] == 0:
        return
    tokens = st.item_tokens[row]
    for j in range(ITEM_TOKENS):
        t = tokens[j]
        if t == 0:
            break
        part = st.token_vectors[t, which * DIMENSIONS : (which + 1) * DIMENSIONS]
        _step(part, st.token_squares[t], which, gradient, scale)
        _note_moved(st, st.token_squares[t], -t)


@njit(cache=True, fastmath=True)
def learn_next(st: State, items: NDArray[np.int32], first: int, n: int, target: int) -> None:
    """Learn that ``target`` follows the items ``items[first:first + n]``."""
    h, gh, logits, negatives = st.hidden[0], st.hidden[1], st.hidden[2], st.negatives
    last = first + n - 1
    oldest = max(first, first + n - VECTOR_ITEMS)
    for u in range(last, oldest - 1, -1):
        refresh(st, items[u])
    total = session_vector(st.vectors_in, items, first, n, h)
    recent = min(st.ctr[NEGATIVES_SEEN], RECENT_CLICKS)
    if total == 0 or recent == 0:
        return
    top = np.float32(-1e30)
    for j in range(NEGATIVES + 1):
        k = target if j == 0 else st.recent_clicks[random_below(st, recent)]
        negatives[j] = k
        refresh(st, k)
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
    gh[:DIMENSIONS] = 0
    for j in range(NEGATIVES + 1):
        g = logits[j] / z - np.float32(1 if j == 0 else 0)
        if abs(g) < TINY_GRADIENT:
            continue
        k = negatives[j]
        e = st.vectors_out[k]
        for d in range(DIMENSIONS):
            gh[d] += g * e[d]
        _step_item(st, k, 1, h, g)
    w = np.float32(1) / total
    for u in range(last, oldest - 1, -1):
        if items[u] != 0:
            _step_item(st, items[u], 0, gh, w)
            w *= DECAY


@njit(cache=True)
def learn_session(st: State, items: NDArray[np.int32], first: int, n: int) -> None:
    """Learn every step of the session ``items[first:first + n]``."""
    for u in range(1, n):
        if items[first + u] != 0:
            learn_next(st, items, first, u, items[first + u])


@njit(cache=True)
def begin_vector(st: State, row: int) -> None:
    """Give a new item small random vectors."""
    for d in range(DIMENSIONS):
        st.vectors_in[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)
        st.vectors_out[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)
    _note_moved(st, st.squares[row], row)


@njit(cache=True)
def note_click(st: State, row: int) -> None:
    """Remember a click for the drawing of negatives."""
    st.recent_clicks[st.ctr[NEGATIVES_SEEN] % RECENT_CLICKS] = row
    st.ctr[NEGATIVES_SEEN] += 1


@njit(cache=True, fastmath=True)
def diversity(st: State, rows: NDArray[np.int32]) -> float:
    """1 less the mean cosine of each two rows' wanted vectors; those without one do not count."""
    total = st.hidden[0]
    total[:DIMENSIONS] = 0
    n = 0
    for row in rows:
        e = st.vectors_out[row]
        squares = np.float32(0)
        for d in range(DIMENSIONS):
            squares += e[d] * e[d]
        if squares > 0:
            n += 1
            scale = np.float32(1) / np.sqrt(squares)
            for d in range(DIMENSIONS):
                total[d] += scale * e[d]
    if n < 2:
        return 0.0
    length = np.float32(0)
    for d in range(DIMENSIONS):
        length += total[d] * total[d]
    return float(1.0 - (length - n) / (n * (n - 1)))
