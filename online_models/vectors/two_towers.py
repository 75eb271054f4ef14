"""Item vectors learned click by click: two towers and a sampled softmax.

An item has two vectors: a context vector, used where it is part of a session, and a target vector,
whose dot product with a session's vector says how likely the item comes next. Each is the sum of
the item's own row and the rows of its content's tokens, so a new item has vectors as soon as the
catalogue has it. A session's vector is the decayed mean of its last items' context vectors
(Hidasi & Karatzoglou, "Recurrent neural networks with top-k gains", CIKM 2018, without the
recurrence). Negatives are recent clicks, hence sampled by popularity; row-wise Adagrad.

The tables hold the sums. When learning from other items has changed an item's tokens, its sums are
updated the next time it is learned or published (`refresh`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.random import random_below
from online_models.memory.state import State
from online_models.memory.table import Arrays, Forget, Kept, Table
from online_models.tables.content_tokens import ITEM_TOKENS, TOKENS

Vector = NDArray[np.float32]

DIMENSIONS, NEGATIVES, VECTOR_ITEMS = 64, 64, 10
"""Length of a vector, negatives per step, latest items of a session that are read."""

RECENT_CLICKS = 1 << 16
"""Clicks that negatives are drawn from."""

SWEPT_CLICKS = 64
"""Of these, swept at once."""

DECAY = np.float32(0.7)
RATE = np.float32(0.3)
TINY_GRADIENT = np.float32(1e-3)
"""Negatives with a smaller gradient are skipped: most of them, once the vectors have learned."""

CONTEXT, TARGET = 0, 1

ADAGRAD = np.dtype(
    [
        ("squares", "f4", (2,)),  # sums of squared gradients of the context and the target vector
        ("moved", "f4"),  # whether `st.moved` lists it
        ("spare", "f4"),
    ]
)
"""Learning state of an item's vectors, or of a token's."""


def _movable(limits: Limits) -> int:
    return limits.rows + TOKENS


@njit(cache=True)
def _forget_clicks(st: State, place: int) -> None:
    """Drop the clicks on items that leave from a part of the ring."""
    for i in range(place * SWEPT_CLICKS, (place + 1) * SWEPT_CLICKS):
        st.recent_clicks[i] = st.becomes[st.recent_clicks[i]]


def _renew(adagrad: NDArray[Any], rows: NDArray[np.int64]) -> None:
    """Keep whether ``st.moved`` lists a row: it may still do so."""
    adagrad["squares"][rows] = 0


TABLES = (
    Table("context_vectors", np.float32, ("rows", DIMENSIONS), Kept.ROWS),
    Table("target_vectors", np.float32, ("rows", DIMENSIONS), Kept.ROWS),
    Table("has_vectors", np.bool_, ("rows",), Kept.ROWS),
    Table("item_adagrad", ADAGRAD, ("rows",), Kept.ROWS, renew=_renew),
    Table("token_vectors", np.float32, (TOKENS, 2 * DIMENSIONS), Kept.WHOLE),
    Table("token_adagrad", ADAGRAD, (TOKENS,), Kept.WHOLE),
    Table("token_sums", np.float32, ("rows", 2 * DIMENSIONS), Kept.ROWS),
    Table(
        "recent_clicks",
        np.int32,
        (RECENT_CLICKS,),
        Kept.WHOLE,
        forget=Forget(_forget_clicks, RECENT_CLICKS // SWEPT_CLICKS),
    ),
    Table("moved", np.int32, (_movable,)),
    Table("n_moved", np.int64, (1,)),
    Table("negatives", np.int32, (NEGATIVES + 1,)),
    Table("logits", np.float32, (NEGATIVES + 1,)),
    Table("session_vector", np.float32, (DIMENSIONS,)),
    Table("session_gradient", np.float32, (DIMENSIONS,)),
)
"""``moved`` lists the rows (> 0) and tokens (< 0) whose vectors have changed since the learner read
it last; ``n_moved`` is its length."""


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


@njit(cache=True, inline="always")
def _note_moved(st: State, adagrad, name: int) -> None:  # type: ignore[no-untyped-def]
    """Add a row (``name`` > 0) or token (< 0) to ``st.moved``, once."""
    if adagrad.moved == 0:
        adagrad.moved = 1
        st.moved[st.n_moved[0]] = name
        st.n_moved[0] += 1


@njit(cache=True, fastmath=True)
def refresh(st: State, row: int) -> None:
    """Add to an item's vectors what its tokens have changed since the last time.

    Nothing is added where nothing has changed: with fastmath, v + x - x need not be v.
    """
    if st.counters[0].items_with_content == 0:
        return
    tokens = st.item_tokens[row]
    if tokens[0] == 0:
        return
    v_in, v_out, before = st.context_vectors[row], st.target_vectors[row], st.token_sums[row]
    changed = False
    for d in range(DIMENSIONS):
        x = np.float32(0)
        y = np.float32(0)
        for j in range(ITEM_TOKENS):
            if tokens[j] == 0:
                break
            x += st.token_vectors[tokens[j], d]
            y += st.token_vectors[tokens[j], DIMENSIONS + d]
        if x != before[d] or y != before[DIMENSIONS + d]:
            v_in[d] += x - before[d]
            v_out[d] += y - before[DIMENSIONS + d]
            before[d] = x
            before[DIMENSIONS + d] = y
            changed = True
    if changed:
        _note_moved(st, st.item_adagrad[row], row)


def set_tokens(arrays: Arrays, st: State, row: int, tokens: Sequence[int]) -> None:
    """Replace the tokens of an item; its own rows stay as learned."""
    own = arrays["item_tokens"][row]
    if not tokens and not own[0]:
        return
    arrays["counters"]["items_with_content"][0] += bool(tokens) - bool(own[0])
    own[:] = 0
    own[: len(tokens)] = tokens
    if tokens:
        refresh(st, row)
        return
    sums = arrays["token_sums"][row]
    arrays["context_vectors"][row] -= sums[:DIMENSIONS]
    arrays["target_vectors"][row] -= sums[DIMENSIONS:]
    sums[:] = 0


@njit(cache=True, fastmath=True)
def current(st: State, row: int, out: Vector) -> None:
    """Set ``out``, (128,), to an item's vectors as `refresh` would leave them; changes nothing."""
    for d in range(DIMENSIONS):
        out[d] = st.context_vectors[row, d]
        out[DIMENSIONS + d] = st.target_vectors[row, d]
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


@njit(cache=True, fastmath=True)
def _adagrad_step(row: Vector, squares: Vector, which: int, gradient: Vector, scale: float) -> None:
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
    """Move one vector (`CONTEXT`, `TARGET`) of an item and of its tokens against a gradient."""
    own = st.target_vectors[row] if which else st.context_vectors[row]
    adagrad = st.item_adagrad[row]
    _adagrad_step(own, adagrad.squares, which, gradient, scale)
    _note_moved(st, adagrad, row)
    if st.counters[0].items_with_content == 0:
        return
    tokens = st.item_tokens[row]
    for j in range(ITEM_TOKENS):
        t = tokens[j]
        if t == 0:
            break
        part = st.token_vectors[t, which * DIMENSIONS : (which + 1) * DIMENSIONS]
        adagrad_t = st.token_adagrad[t]
        _adagrad_step(part, adagrad_t.squares, which, gradient, scale)
        _note_moved(st, adagrad_t, -t)


@njit(cache=True, fastmath=True)
def learn_vectors_step(
    st: State, items: NDArray[np.int32], first: int, n: int, target: int
) -> None:
    """Learn that ``target`` follows the items ``items[first:first + n]``."""
    h, gh = st.session_vector, st.session_gradient
    logits, negatives = st.logits, st.negatives
    last = first + n - 1
    oldest = max(first, first + n - VECTOR_ITEMS)
    for u in range(last, oldest - 1, -1):
        refresh(st, items[u])
    total = session_vector(st.context_vectors, items, first, n, h)
    recent = min(st.counters[0].negatives_seen, RECENT_CLICKS)
    if total == 0 or recent == 0:
        return
    top = np.float32(-1e30)
    for j in range(NEGATIVES + 1):
        k = target if j == 0 else st.recent_clicks[random_below(st, recent)]
        negatives[j] = k
        refresh(st, k)
        e = st.target_vectors[k]
        x = np.float32(0)
        for d in range(DIMENSIONS):
            x += h[d] * e[d]
        # A drawn click may be on the target itself, or on an item that has left (0).
        logits[j] = np.float32(-1e30) if j > 0 and (k == target or k == 0) else x
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
        e = st.target_vectors[k]
        for d in range(DIMENSIONS):
            gh[d] += g * e[d]
        _step_item(st, k, TARGET, h, g)
    w = np.float32(1) / total
    for u in range(last, oldest - 1, -1):
        if items[u] != 0:
            _step_item(st, items[u], CONTEXT, gh, w)
            w *= DECAY


@njit(cache=True)
def learn_vectors_session(st: State, items: NDArray[np.int32], first: int, n: int) -> None:
    """Learn from every step of the session ``items[first:first + n]``."""
    for u in range(1, n):
        if items[first + u] != 0:
            learn_vectors_step(st, items, first, u, items[first + u])


@njit(cache=True)
def begin_vector(st: State, row: int) -> None:
    """Give a new item small random vectors."""
    for d in range(DIMENSIONS):
        st.context_vectors[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)
        st.target_vectors[row, d] = (random_below(st, 2_001) - 1_000) * np.float32(0.00017)
    _note_moved(st, st.item_adagrad[row], row)


@njit(cache=True)
def note_click(st: State, row: int) -> None:
    """Remember a click, to draw negatives from."""
    st.recent_clicks[st.counters[0].negatives_seen % RECENT_CLICKS] = row
    st.counters[0].negatives_seen += 1


@njit(cache=True, fastmath=True)
def diversity(st: State, rows: NDArray[np.int32]) -> float:
    """Return 1 minus the mean pairwise cosine of the target vectors that are not zero."""
    total = st.session_vector
    total[:] = 0
    n = 0
    for row in rows:
        e = st.target_vectors[row]
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
