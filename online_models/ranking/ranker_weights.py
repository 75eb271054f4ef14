"""The weights of ranker and blend, as the ranker job publishes them and replicas apply them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.memory.table import Arrays
from online_models.ranking.blend import N_WEIGHTS
from online_models.ranking.features.registry import N_COMMON, N_INPUTS
from online_models.ranking.network import AVERAGED, COMMON, N_BASE, N_NETWORK
from online_models.ranking.prequential import PREQUENTIAL

Floats = NDArray[np.float32]

SIZES = {
    "network": N_NETWORK,
    "mean": N_INPUTS,
    "variance": N_INPUTS,
    "linear": N_WEIGHTS,
    "scores": PREQUENTIAL.itemsize // 4,
}
"""Numbers in each array of `RankerWeights`."""

COMMON_SIZES = SIZES | {"network": N_BASE, "mean": COMMON, "variance": COMMON}
"""The same without optional features."""


@dataclass(frozen=True, slots=True)
class RankerWeights:
    """Weights of ranker and blend.

    Parameters
    ----------
    network
        Averaged weights, (N_NETWORK,) float32.
    mean, variance
        Running normalisation of the features, (N_INPUTS,) float32 each.
    linear
        Weights of the blend, (N_WEIGHTS,) float32.
    scores
        Prequential scores, (6,) float32, in the order of `prequential.PREQUENTIAL`.
    steps
        Cases learned.
    """

    network: Floats
    mean: Floats
    variance: Floats
    linear: Floats
    scores: Floats
    steps: int


def take_weights(arrays: Arrays) -> RankerWeights:
    """Return copies of the weights in tables."""
    return RankerWeights(
        arrays["network"][AVERAGED].copy(),
        arrays["feature_mean"].copy(),
        arrays["feature_variance"].copy(),
        arrays["blend_weights"].copy(),
        arrays["prequential"].view(np.float32).copy(),
        int(arrays["counters"]["ranker_steps"][0]),
    )


def put_weights(arrays: Arrays, weights: RankerWeights) -> None:
    """Write weights into tables."""
    arrays["network"][AVERAGED] = weights.network
    arrays["feature_mean"][:] = weights.mean
    arrays["feature_variance"][:] = weights.variance
    arrays["blend_weights"][:] = weights.linear
    arrays["prequential"].view(np.float32)[:] = weights.scores
    arrays["counters"]["ranker_steps"] = weights.steps


def widened(name: str, array: Floats) -> Floats:
    """Return an array of `COMMON_SIZES` as one of `SIZES`: of what is optional nothing is known."""
    if len(array) == SIZES[name]:
        return array
    wide = np.full(SIZES[name], name == "variance", np.float32)
    kept = N_BASE if name == "network" else N_COMMON
    wide[:kept] = array[:kept]
    return wide
