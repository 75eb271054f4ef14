"""Weights of the ranking, in the order of `blend.features`.

The blend was fitted by listwise softmax (Adagrad, 12 passes) on 4,000 cases each from the
last 5 to 10 % of the training files of rsc15_64_timed, yoochoose_1_64, diginetica, tmall,
nowplaying and serenade_example; no test file was read. On a fifth of the cases held out,
HR@20 / MRR@20 rose over hand-set weights (kNN 4, rules 2.8, co-visits 1.2) from 76.2 / 31.2 to
79.6 / 40.0 (rsc15), 60.5 / 20.6 to 83.7 / 45.6 (tmall), 62.4 / 19.0 to 66.6 / 23.0
(diginetica).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLEND_WEIGHTS = np.array(
    [
        # shares: kNN, after, flat, fresh, seq, cov, next, seq1, cov1, pair, hop seq, hop cov
        -1.20, 0.06, -3.84, -0.55, 0.93, 0.78, -0.43, -0.68, -0.39, 0.42, -0.91, -1.63,
        # their roots
        2.91, -0.27, 4.38, 0.80, -0.17, -0.52, 1.32, 0.16, 0.50, 0.40, 1.66, 2.09,
        # log clicks, log decayed popularity, log age of the last click
        -0.21, 0.00, -0.21,
        # own item: is one, count, log of steps ago; one, two, three steps ago
        0.44, 0.53, 0.24, -0.34, 0.07, -0.13,
    ],
    np.float32,
)  # fmt: skip


def _only(**weights: float) -> NDArray[np.float32]:
    """Weights that are zero but for the named places."""
    places = {"knn": 0, "seq": 4, "cov": 5, "cov1": 8}
    reading = np.zeros(len(BLEND_WEIGHTS), np.float32)
    for name, weight in weights.items():
        reading[places[name]] = weight
    return reading


READINGS: dict[str, NDArray[np.float32]] = {
    "blend": BLEND_WEIGHTS,
    "session-knn": _only(knn=1),
    "rules": _only(seq=1),
    "covisitation": _only(cov=1),
    "item-knn": _only(cov1=1),
}
"""Single sources as rankings of their own: the baselines that stand beside the blend."""
