"""Learning of the blend's weights: listwise softmax over the candidates, Adagrad."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.blend import N_TERMS, N_WEIGHTS
from online_models.ranking.network import dot, softmax

RATE = np.float32(0.2)

TABLES = (Table("blend_gradient", np.float32, (N_WEIGHTS,)),)


@njit(cache=True, fastmath=True)
def blend_step(st: State, n: int, target: int) -> None:
    """Learn that in the case ``st.features[:, :n]`` the candidate ``target`` came next."""
    x, scores, gradient = st.features, st.ranking_score, st.blend_gradient
    for r in range(n):
        scores[r] = 0
    for f in range(N_TERMS):
        w = st.blend_weights[f]
        for r in range(n):
            scores[r] += w * x[f, r]
    softmax(scores, n)
    scores[target] -= np.float32(1)
    for f in range(N_TERMS):
        gradient[f] = dot(scores, x[f], n)
    for f in range(N_TERMS):
        st.blend_squares[f] += gradient[f] * gradient[f]
        st.blend_weights[f] -= RATE * gradient[f] / np.sqrt(st.blend_squares[f] + np.float32(1))
