"""The online ranker: a small network over the candidates' features, learned in one pass.

Two hidden layers and a linear skip, listwise softmax over the candidates, Adam with
clipping, weights averaged over time for answering, a few old cases replayed a step from a
bounded buffer. Features are normalised by running mean and variance and clipped, so that
one wild value does no harm.

Candidates are the inner loop of every kernel: flat rows of `CANDIDATES` at constant
distances, which the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory import layout
from online_models.memory.layout import (
    CANDIDATES,
    CASES_SEEN,
    HIDDEN1,
    HIDDEN2,
    MAX_FEATURES,
    RANDOM,
    REPLACED,
    REPLAY,
    REPLAY_CASES,
    STEPS,
    Limits,
    State,
    aligned,
)
from online_models.ranking.features import N_FEATURES
from online_models.vectors.two_towers import random_below

FIRST_RANDOM = 88_172_645_463_325_252
"""State of xorshift that seed 0 begins with (Marsaglia, "Xorshift RNGs", 2003)."""

RATE, CLIP, AVERAGE = 0.0005, 5.0, 0.0003
LARGEST_FEATURE = int(np.float32(1e6).view(np.int32))
SLOPE = np.float32(0.01)
N_RANKER = N_FEATURES * HIDDEN1 + HIDDEN1 + HIDDEN1 * HIDDEN2 + HIDDEN2 + HIDDEN2 + N_FEATURES
WEIGHTS, MOMENT1, MOMENT2, AVERAGED = range(4)
"""Rows of ``State.ranker``."""

Flat = NDArray[np.float32]
Rows = NDArray[np.float32]


def initial(seed: int) -> NDArray[np.float32]:
    """Return the rows of a ranker that has learned nothing, (4, N_RANKER)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((4, N_RANKER), np.float32)
    o1 = N_FEATURES * HIDDEN1
    o2 = o1 + HIDDEN1
    o3 = o2 + HIDDEN1 * HIDDEN2
    o4 = o3 + HIDDEN2
    out[0, :o1] = rng.normal(size=o1) / math.sqrt(N_FEATURES)
    out[0, o2:o3] = rng.normal(size=o3 - o2) / math.sqrt(HIDDEN1)
    out[0, o4 : o4 + HIDDEN2] = rng.normal(size=HIDDEN2) * 0.1
    out[AVERAGED] = out[WEIGHTS]
    return out


def allocate_models(limits: Limits, seed: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of all models, the ranker's and the generator's seed among them."""
    arrays = layout.allocate(limits) | allocate(seed)
    arrays["ctr"][RANDOM] = FIRST_RANDOM + 7_919 * seed
    return arrays


def allocate(seed: int) -> dict[str, NDArray[Any]]:
    """Return the ranker's arrays, by field of `State`."""
    wide = (N_FEATURES, CANDIDATES)
    return {
        "ranker": initial(seed),
        "features": aligned(wide, np.float32),
        "mean": np.zeros(N_FEATURES, np.float32),
        "variance": np.ones(N_FEATURES, np.float32),
        "old_cases": aligned((REPLAY_CASES, *wide), np.float32),
        "old_sizes": np.zeros(REPLAY_CASES, np.int64),
        "old_targets": np.zeros(REPLAY_CASES, np.int64),
        "normal": aligned(wide, np.float32),
        "layer1": aligned((HIDDEN1, CANDIDATES), np.float32),
        "layer2": aligned((HIDDEN2, CANDIDATES), np.float32),
        "delta1": aligned((HIDDEN1, CANDIDATES), np.float32),
        "delta2": aligned((HIDDEN2, CANDIDATES), np.float32),
        "ranker_score": np.zeros(CANDIDATES, np.float32),
        "gradient": np.zeros(N_RANKER, np.float32),
        "case_scores": np.zeros(6, np.float32),
        "weight_squares": np.zeros(MAX_FEATURES, np.float32),
    }


@njit(cache=True)
def _layers(w: Flat):  # type: ignore[no-untyped-def]
    """Views of flat weights: (HIDDEN1, N_FEATURES), bias, (HIDDEN2, HIDDEN1), bias, out, skip."""
    o1 = N_FEATURES * HIDDEN1
    o2 = o1 + HIDDEN1
    o3 = o2 + HIDDEN1 * HIDDEN2
    o4 = o3 + HIDDEN2
    o5 = o4 + HIDDEN2
    return (
        w[:o1].reshape(HIDDEN1, N_FEATURES),
        w[o1:o2],
        w[o2:o3].reshape(HIDDEN2, HIDDEN1),
        w[o3:o4],
        w[o4:o5],
        w[o5:],
    )


@njit(cache=True, fastmath=True)
def _dense(w: Rows, b: Flat, x: Rows, y: Rows) -> None:
    """Set y[j] to leaky relu(b[j] + w[j] x)."""
    np.dot(w, x, y)
    for j in range(w.shape[0]):
        for r in range(CANDIDATES):
            v = y[j, r] + b[j]
            y[j, r] = max(v, SLOPE * v)


@njit(cache=True, fastmath=True)
def forward(st: State, x: NDArray[np.float32], n: int, w: Flat) -> None:
    """Set ``st.ranker_score[:n]`` to the scores of the candidates' features ``x[:, :n]``."""
    w1, b1, w2, b2, w3, w4 = _layers(w)
    sc, z, h2 = st.ranker_score, st.normal, st.layer2
    five = np.float32(5)
    for r in range(n):
        sc[r] = 0
    for f in range(N_FEATURES):
        a = np.float32(1) / np.sqrt(st.variance[f] + np.float32(1e-4))
        c = st.mean[f]
        skip = w4[f]
        row = x[f]
        out = z[f]
        for r in range(n):
            out[r] = min(max((row[r] - c) * a, -five), five)
            sc[r] += skip * out[r]
    _dense(w1, b1, z, st.layer1)
    _dense(w2, b2, st.layer1, h2)
    for k in range(HIDDEN2):
        g = h2[k]
        out_w = w3[k]
        for r in range(n):
            sc[r] += out_w * g[r]


@njit(cache=True, fastmath=True)
def _dot(x: Flat, y: Flat, n: int):  # type: ignore[no-untyped-def]
    s = np.float32(0)
    for r in range(n):
        s += x[r] * y[r]
    return s


@njit(cache=True, fastmath=True)
def _add_outer(d: Flat, x: Flat, g: NDArray[np.float32]) -> None:
    """Add the products of the rows of ``d`` with those of ``x`` to ``g``.

    Two and four rows at a time over all `CANDIDATES`, of which those that do not exist are zero
    in ``d``: 3 times as fast as one product after another over those that do.
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
def _softmax(v: Flat, n: int) -> None:
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
    forward(st, x, n, st.ranker[WEIGHTS])
    _, _, w2, _, w3, _ = _layers(st.ranker[WEIGHTS])
    g1, c1, g2, c2, g3, g4 = _layers(st.gradient)
    sc, z, h1, h2, d1, d2 = (
        st.ranker_score, st.normal, st.layer1, st.layer2, st.delta1, st.delta2
    )  # fmt: skip
    one = np.float32(1)
    _softmax(sc, n)
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
        g3[k] += _dot(sc, h, CANDIDATES)
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
    for f in range(N_FEATURES):
        g4[f] += _dot(sc, z[f], CANDIDATES)


@njit(cache=True, fastmath=True)
def _normalise(st: State, n: int) -> None:
    """Move the running mean and variance of every feature towards this case's."""
    a = np.float32(max(1.0 / (1.0 + st.ctr[STEPS]), 2e-4))
    for f in range(N_FEATURES):
        x = st.features[f]
        m = np.float32(0)
        v = np.float32(0)
        for r in range(n):
            m += x[r]
        st.mean[f] += a * (m / n - st.mean[f])
        m = st.mean[f]
        for r in range(n):
            v += (x[r] - m) ** 2
        st.variance[f] += a * (v / n - st.variance[f])


@njit(cache=True)
def usable(x: NDArray[np.float32], n: int) -> bool:
    """Whether all features are numbers of a sane size.

    Looks at their bits as integers, where infinite and undefined ones are the largest: fast
    math assumes that there are none, and would compile a comparison away.
    """
    bits = x.view(np.int32)
    for f in range(N_FEATURES):
        for r in range(n):
            if bits[f, r] & 0x7FFFFFFF > LARGEST_FEATURE:
                return False
    return True


@njit(cache=True, fastmath=True)
def learn_case(st: State, n: int, y: int) -> None:
    """Learn the case in ``st.features[:, :n]``, target at ``y``, and some old ones with it.

    The features are `usable`.

    One Adam step (Kingma & Ba, ICLR 2015) on their summed gradient, clipped by its norm.
    """
    _normalise(st, n)
    st.gradient[:] = 0
    _backward(st, st.features, n, y)
    held = min(st.ctr[CASES_SEEN], REPLAY_CASES)
    for _ in range(REPLAY if held > 100 else 0):
        j = random_below(st, held)
        _backward(st, st.old_cases[j], st.old_sizes[j], st.old_targets[j])
    j = st.ctr[CASES_SEEN] if held < REPLAY_CASES else random_below(st, REPLAY_CASES)
    st.ctr[REPLACED] = j
    st.old_cases[j] = st.features
    st.old_sizes[j] = n
    st.old_targets[j] = y
    st.ctr[CASES_SEEN] += 1
    st.ctr[STEPS] += 1
    step = st.ctr[STEPS]
    g = st.gradient
    norm = np.float32(0)
    for i in range(N_RANKER):
        norm += g[i] * g[i]
    scale = np.float32(min(1.0, CLIP / math.sqrt(norm + 1e-12)))
    correct = np.float32(1 / math.sqrt(1 - 0.999**step))
    rate = np.float32(RATE / (1 - 0.9**step))
    average = np.float32(max(AVERAGE, 1.0 / step))
    w, m, v, avg = st.ranker[WEIGHTS], st.ranker[MOMENT1], st.ranker[MOMENT2], st.ranker[AVERAGED]
    for i in range(N_RANKER):
        x = g[i] * scale
        m[i] = np.float32(0.9) * m[i] + np.float32(0.1) * x
        v[i] = np.float32(0.999) * v[i] + np.float32(0.001) * x * x
        w[i] -= rate * m[i] / (np.sqrt(v[i]) * correct + np.float32(1e-6))
        avg[i] += average * (w[i] - avg[i])


@njit(cache=True, fastmath=True)
def learn_linear(st: State, n: int, y: int, n_weights: int, rate: float) -> None:
    """Learn the weights that pick candidates from the same case: listwise softmax, Adagrad."""
    x, sc, g = st.features, st.ranker_score, st.hidden[3]
    for r in range(n):
        sc[r] = 0
    for f in range(n_weights):
        w = st.weights[f]
        for r in range(n):
            sc[r] += w * x[f, r]
    _softmax(sc, n)
    sc[y] -= np.float32(1)
    for f in range(n_weights):
        g[f] = _dot(sc, x[f], n)
    for f in range(n_weights):
        st.weight_squares[f] += g[f] * g[f]
        st.weights[f] -= np.float32(rate) * g[f] / np.sqrt(st.weight_squares[f] + np.float32(1))
