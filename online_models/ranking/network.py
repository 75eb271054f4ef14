"""The ranker: a small network over the candidates' features, learned in one pass.

Two hidden layers and a linear skip connection; listwise softmax over the candidates; Adam with
gradient clipping; weights averaged over time for answering; each step replays a few old cases from
a bounded buffer. Features are normalised by running mean and variance and clipped, so that a single
extreme value does no harm.

Optional features (`registry.OPTIONAL`) take part only in cases that have any: to all others, the
network is the one without them, bit for bit. Their weights begin at zero, so that a shop whose
ranker has learned, and that begins to know its users, goes on where it was.

The inner loop of every kernel runs over the candidates, in rows of `CANDIDATES` contiguous values,
which the compiler vectorises.

    st.network[WEIGHTS]  | w1 (HIDDEN1, COMMON) | b1 | w2 (HIDDEN2, HIDDEN1) | b2 | out | skip |
                         | w1 (HIDDEN1, OPTIONAL) | skip |   of the optional features
                         and rows of the same layout for Adam's moments and the average
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.random import random_below
from online_models.memory.state import State
from online_models.memory.table import Kept, Table
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import (
    N_COMMON,
    N_FEATURES,
    N_INPUTS,
    set_features,
)

HIDDEN1, HIDDEN2 = 48, 24
"""Units of the two hidden layers."""

REPLAY, REPLAY_CASES = 2, 2_000
"""Old cases replayed with each new one, and the size of the buffer."""

RATE, CLIP, AVERAGE = 0.0005, 5.0, 0.0003
LARGEST_FEATURE = int(np.float32(1e6).view(np.int32))
SLOPE = np.float32(0.01)
COMMON, OPTIONAL = -(-N_COMMON // 4) * 4, -(-(N_FEATURES - N_COMMON) // 4) * 4
"""Inputs of the network; beyond the features, they are 0."""

N_BASE = COMMON * HIDDEN1 + HIDDEN1 + HIDDEN1 * HIDDEN2 + HIDDEN2 + HIDDEN2 + COMMON
N_NETWORK = N_BASE + OPTIONAL * HIDDEN1 + OPTIONAL
WEIGHTS, MOMENT1, MOMENT2, AVERAGED = range(4)
"""Rows of ``State.network``."""

Flat = NDArray[np.float32]
Rows = NDArray[np.float32]


def _begin(network: Rows, limits: Limits, seed: int) -> None:
    """Set the initial weights; those of optional features stay 0."""
    del limits
    rng = np.random.default_rng(seed)
    o1 = COMMON * HIDDEN1
    o2 = o1 + HIDDEN1
    o3 = o2 + HIDDEN1 * HIDDEN2
    o4 = o3 + HIDDEN2
    network[WEIGHTS, :o1] = rng.normal(size=o1) / math.sqrt(N_COMMON)
    network[WEIGHTS, o2:o3] = rng.normal(size=o3 - o2) / math.sqrt(HIDDEN1)
    network[WEIGHTS, o4 : o4 + HIDDEN2] = rng.normal(size=HIDDEN2) * 0.1
    network[AVERAGED] = network[WEIGHTS]


def _ones(variance: Flat, limits: Limits, seed: int) -> None:
    del limits, seed
    variance[:] = 1


_WIDE = (N_INPUTS, CANDIDATES)
TABLES = (
    Table("network", np.float32, (4, N_NETWORK), Kept.WHOLE, _begin),
    Table("feature_mean", np.float32, (N_INPUTS,), Kept.WHOLE),
    Table("feature_variance", np.float32, (N_INPUTS,), Kept.WHOLE, _ones),
    Table("replay_features", np.float32, (REPLAY_CASES, *_WIDE), Kept.CASES),
    Table("replay_sizes", np.int64, (REPLAY_CASES,), Kept.WHOLE),
    Table("replay_targets", np.int64, (REPLAY_CASES,), Kept.WHOLE),
    Table("replaced", np.int64, (1,)),
    Table("normal", np.float32, (COMMON + OPTIONAL, CANDIDATES)),
    Table("layer1", np.float32, (HIDDEN1, CANDIDATES)),
    Table("layer1_optional", np.float32, (HIDDEN1, CANDIDATES)),
    Table("layer2", np.float32, (HIDDEN2, CANDIDATES)),
    Table("delta1", np.float32, (HIDDEN1, CANDIDATES)),
    Table("delta2", np.float32, (HIDDEN2, CANDIDATES)),
    Table("ranking_score", np.float32, (CANDIDATES,)),
    Table("gradient", np.float32, (N_NETWORK,)),
)
"""``replaced`` is the place of the last case in the replay buffer, -1 if it has none."""


@njit(cache=True)
def _layers(w: Flat):  # type: ignore[no-untyped-def]
    """View flat weights as (HIDDEN1, COMMON), bias, (HIDDEN2, HIDDEN1), bias, out, skip."""
    o1 = COMMON * HIDDEN1
    o2 = o1 + HIDDEN1
    o3 = o2 + HIDDEN1 * HIDDEN2
    o4 = o3 + HIDDEN2
    o5 = o4 + HIDDEN2
    return (
        w[:o1].reshape(HIDDEN1, COMMON),
        w[o1:o2],
        w[o2:o3].reshape(HIDDEN2, HIDDEN1),
        w[o3:o4],
        w[o4:o5],
        w[o5:N_BASE],
    )


@njit(cache=True)
def _optional_layers(w: Flat):  # type: ignore[no-untyped-def]
    """View flat weights of optional features as (HIDDEN1, OPTIONAL), skip."""
    end = N_BASE + HIDDEN1 * OPTIONAL
    return w[N_BASE:end].reshape(HIDDEN1, OPTIONAL), w[end:]


@njit(cache=True, fastmath=True)
def has_optional(x: Rows, n: int) -> bool:
    """Whether a case has any optional features."""
    for f in range(N_COMMON, N_FEATURES):
        row, largest = x[f], np.float32(0)
        for r in range(n):  # without a way out, the compiler vectorises it
            largest = max(largest, abs(row[r]))
        if largest != 0:
            return True
    return False


@njit(cache=True, fastmath=True)
def _normal(st: State, x: Rows, n: int, f: int, out: Flat, skip: float) -> None:
    """Set ``out[:n]`` to feature ``f``, normalised; add ``skip`` times it to the scores."""
    five = np.float32(5)
    a = np.float32(1) / np.sqrt(st.feature_variance[f] + np.float32(1e-4))
    c = st.feature_mean[f]
    row = x[f]
    sc = st.ranking_score
    for r in range(n):
        out[r] = min(max((row[r] - c) * a, -five), five)
        sc[r] += skip * out[r]


@njit(cache=True, fastmath=True)
def _activate(b: Flat, y: Rows) -> None:
    """Set y[j] to leaky relu(b[j] + y[j])."""
    for j in range(len(b)):
        for r in range(CANDIDATES):
            v = y[j, r] + b[j]
            y[j, r] = max(v, SLOPE * v)


@njit(cache=True, fastmath=True)
def _add_optional(st: State, x: Rows, n: int, w: Flat) -> None:
    """Add what the optional features contribute to the scores and to the first layer."""
    weights, skip = _optional_layers(w)
    z, h1, more = st.normal, st.layer1, st.layer1_optional
    for k in range(N_FEATURES - N_COMMON):
        _normal(st, x, n, N_COMMON + k, z[COMMON + k], skip[k])
    np.dot(weights, z[COMMON:], more)
    for j in range(HIDDEN1):
        for r in range(n):
            h1[j, r] += more[j, r]


@njit(cache=True, fastmath=True)
def forward(st: State, x: NDArray[np.float32], n: int, w: Flat) -> None:
    """Set ``st.ranking_score[:n]`` to the scores of the candidates' features ``x[:, :n]``."""
    w1, b1, w2, b2, w3, w4 = _layers(w)
    sc, z, h1, h2 = st.ranking_score, st.normal, st.layer1, st.layer2
    for r in range(n):
        sc[r] = 0
    for f in range(N_COMMON):
        _normal(st, x, n, f, z[f], w4[f])
    np.dot(w1, z[:COMMON], h1)
    if has_optional(x, n):
        _add_optional(st, x, n, w)
    _activate(b1, h1)
    np.dot(w2, h1, h2)
    _activate(b2, h2)
    for k in range(HIDDEN2):
        g = h2[k]
        out_w = w3[k]
        for r in range(n):
            sc[r] += out_w * g[r]


@njit(cache=True, fastmath=True)
def dot(x: Flat, y: Flat, n: int):  # type: ignore[no-untyped-def]
    """Return the dot product of ``x[:n]`` and ``y[:n]``."""
    s = np.float32(0)
    for r in range(n):
        s += x[r] * y[r]
    return s


@njit(cache=True, fastmath=True)
def _add_outer(d: Flat, x: Flat, g: NDArray[np.float32]) -> None:
    """Add the dot products of the rows of ``d`` with the rows of ``x`` to ``g``.

    Two by four rows at a time, always over all `CANDIDATES` (``d`` is zero beyond the existing
    ones): 3 times as fast as one product after another over the existing ones.
    """
    for j in range(0, g.shape[0], 2):
        u = d[j * CANDIDATES : (j + 2) * CANDIDATES]
        for f in range(0, g.shape[1], 4):
            i = x[f * CANDIDATES : (f + 4) * CANDIDATES]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = np.float32(0)
            for r in range(CANDIDATES):
                u0 = u[r]
                u1 = u[CANDIDATES + r]
                x0 = i[r]
                x1 = i[CANDIDATES + r]
                x2 = i[2 * CANDIDATES + r]
                x3 = i[3 * CANDIDATES + r]
                a0 += u0 * x0
                a1 += u0 * x1
                a2 += u0 * x2
                a3 += u0 * x3
                b0 += u1 * x0
                b1 += u1 * x1
                b2 += u1 * x2
                b3 += u1 * x3
            g[j, f] += a0
            g[j, f + 1] += a1
            g[j, f + 2] += a2
            g[j, f + 3] += a3
            g[j + 1, f] += b0
            g[j + 1, f + 1] += b1
            g[j + 1, f + 2] += b2
            g[j + 1, f + 3] += b3


@njit(cache=True, fastmath=True)
def softmax(v: Flat, n: int) -> None:
    """Replace ``v[:n]`` by their softmax."""
    top = np.float32(-1e30)
    for i in range(n):
        top = max(top, v[i])
    z = np.float32(0)
    for i in range(n):
        v[i] = math.exp(v[i] - top)
        z += v[i]
    for i in range(n):
        v[i] /= z


@njit(cache=True, fastmath=True)
def _backward(st: State, x: NDArray[np.float32], n: int, y: int) -> None:
    """Add the gradient of one case's listwise softmax loss (target at ``y``)."""
    forward(st, x, n, st.network[WEIGHTS])
    _, _, w2, _, w3, _ = _layers(st.network[WEIGHTS])
    g1, c1, g2, c2, g3, g4 = _layers(st.gradient)
    sc, z, h1, h2, d1, d2 = (
        st.ranking_score, st.normal, st.layer1, st.layer2, st.delta1, st.delta2
    )  # fmt: skip
    one = np.float32(1)
    softmax(sc, n)
    sc[y] -= one
    sc[n:] = 0
    for k in range(HIDDEN2):
        h = h2[k]
        d = d2[k]
        w = w3[k]
        s = np.float32(0)
        for r in range(CANDIDATES):
            d[r] = sc[r] * w * (one if h[r] > 0 else SLOPE)
            s += d[r]
        c2[k] += s
        g3[k] += dot(sc, h, CANDIDATES)
    _add_outer(d2.reshape(-1), h1.reshape(-1), g2)
    np.dot(w2.T, d2, d1)
    for j in range(HIDDEN1):
        h = h1[j]
        d = d1[j]
        s = np.float32(0)
        for r in range(CANDIDATES):
            d[r] *= one if h[r] > 0 else SLOPE
            s += d[r]
        c1[j] += s
    _add_outer(d1.reshape(-1), z.reshape(-1), g1)
    for f in range(COMMON):
        g4[f] += dot(sc, z[f], CANDIDATES)
    if has_optional(x, n):
        weights, skip = _optional_layers(st.gradient)
        _add_outer(d1.reshape(-1), z[COMMON:].reshape(-1), weights)
        for k in range(OPTIONAL):
            skip[k] += dot(sc, z[COMMON + k], CANDIDATES)


@njit(cache=True, fastmath=True)
def _move(st: State, n: int, first: int, end: int, cases: int) -> None:
    """Move the running mean and variance of some features towards this case's."""
    a = np.float32(max(1.0 / (1.0 + cases), 2e-4))
    for f in range(first, end):
        x = st.features[f]
        m = np.float32(0)
        v = np.float32(0)
        for r in range(n):
            m += x[r]
        st.feature_mean[f] += a * (m / n - st.feature_mean[f])
        m = st.feature_mean[f]
        for r in range(n):
            v += (x[r] - m) ** 2
        st.feature_variance[f] += a * (v / n - st.feature_variance[f])


@njit(cache=True)
def _normalise(st: State, n: int) -> None:
    """Move the running mean and variance of every feature that the case has."""
    _move(st, n, 0, N_COMMON, st.counters[0].ranker_steps)
    if has_optional(st.features, n):
        _move(st, n, N_COMMON, N_FEATURES, st.counters[0].optional_cases)
        st.counters[0].optional_cases += 1


@njit(cache=True)
def usable(x: NDArray[np.float32], n: int) -> bool:
    """Whether all features are finite numbers of at most 1e6.

    Compares their bits as integers, where infinities and NaN are the largest: with fast math the
    compiler assumes that neither exists, and would optimise a float comparison away.
    """
    bits = x.view(np.int32)
    for f in range(N_FEATURES):
        for r in range(n):
            if bits[f, r] & 0x7FFFFFFF > LARGEST_FEATURE:
                return False
    return True


@njit(cache=True, fastmath=True, inline="always")
def _adam(
    w: Flat,
    m: Flat,
    v: Flat,
    avg: Flat,
    g: Flat,
    first: int,
    end: int,
    scale: float,
    rate: float,
    correct: float,
    average: float,
) -> None:
    """Move weights ``first`` to ``end``, their moments and their averages."""
    for i in range(first, end):
        x = g[i] * scale
        m[i] = np.float32(0.9) * m[i] + np.float32(0.1) * x
        v[i] = np.float32(0.999) * v[i] + np.float32(0.001) * x * x
        w[i] -= rate * m[i] / (np.sqrt(v[i]) * correct + np.float32(1e-6))
        avg[i] += average * (w[i] - avg[i])


@njit(cache=True, fastmath=True)
def ranker_step(st: State, n: int, y: int) -> None:
    """Learn the case in ``st.features[:, :n]``, target at ``y``, together with some old cases.

    The features must be `usable`.

    One Adam step (Kingma & Ba, ICLR 2015) on their summed gradient, clipped by its norm.
    """
    _normalise(st, n)
    st.gradient[:] = 0
    _backward(st, st.features, n, y)
    held = min(st.counters[0].cases_seen, REPLAY_CASES)
    for _ in range(REPLAY if held > 100 else 0):
        j = random_below(st, held)
        _backward(st, st.replay_features[j], st.replay_sizes[j], st.replay_targets[j])
    j = st.counters[0].cases_seen if held < REPLAY_CASES else random_below(st, REPLAY_CASES)
    st.replaced[0] = j
    st.replay_features[j] = st.features
    st.replay_sizes[j] = n
    st.replay_targets[j] = y
    st.counters[0].cases_seen += 1
    st.counters[0].ranker_steps += 1
    step = st.counters[0].ranker_steps
    g = st.gradient
    norm = np.float32(0)
    for i in range(N_BASE):
        norm += g[i] * g[i]
    more = np.float32(0)  # apart, as all of what is optional: sums depend on how they are taken
    for i in range(N_BASE, N_NETWORK):
        more += g[i] * g[i]
    norm += more
    scale = np.float32(min(1.0, CLIP / math.sqrt(norm + 1e-12)))
    correct = np.float32(1 / math.sqrt(1 - 0.999**step))
    rate = np.float32(RATE / (1 - 0.9**step))
    average = np.float32(max(AVERAGE, 1.0 / step))
    w, m, v, avg = (
        st.network[WEIGHTS],
        st.network[MOMENT1],
        st.network[MOMENT2],
        st.network[AVERAGED],
    )
    _adam(w, m, v, avg, g, 0, N_BASE, scale, rate, correct, average)
    _adam(w, m, v, avg, g, N_BASE, N_NETWORK, scale, rate, correct, average)


@njit(cache=True)
def score_candidates(st: State) -> bool:
    """Set ``st.ranking_score`` for the candidates.

    Returns False if it cannot: the ranker has learned nothing, there are no candidates, or the last
    item is unknown.
    """
    n, n_query = st.found[0].candidates, st.request[0].n_query
    if n == 0 or st.counters[0].ranker_steps == 0 or st.query[n_query - 1] == 0:
        return False
    set_features(st)
    forward(st, st.features, n, st.network[AVERAGED])
    return True
