"""States of learners as code without optional features has written them."""

import numpy as np

from online_models.learners.ranker import RankerLearner
from online_models.ranking.features.registry import COMMON_SCHEMA
from online_models.ranking.network import COMMON, N_BASE


def narrow(dumped):
    """What a learner without optional features has dumped."""
    learner = RankerLearner()
    assert learner.load(dumped)
    a = learner.arrays
    parts = [
        a["counters"],
        a["network"][:, :N_BASE],
        a["feature_mean"][:COMMON],
        a["feature_variance"][:COMMON],
        *(a[name] for name in ("blend_weights", "blend_squares", "prequential")),
    ]
    head = COMMON_SCHEMA.encode() + N_BASE.to_bytes(4, "little")
    return head + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
