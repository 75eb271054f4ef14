"""Prequential scores of blend and ranker: each case is scored before it is learned.

The ranker answers while it is not worse than the blend on new cases.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Kept, Table

SERVE_FROM_STEP = 500
DOUBT = 2.0
SCORE_DECAY, HITS = 0.002, 20
"""Weight of a case in the running scores; cut-off of hit rate and MRR."""

PREQUENTIAL = np.dtype(
    [
        ("mrr_blend", "f4"),
        ("mrr_ranker", "f4"),
        ("hit_rate_blend", "f4"),
        ("hit_rate_ranker", "f4"),
        ("lead", "f4"),  # of the ranker over the blend, in reciprocal rank
        ("lead_variance", "f4"),
    ]
)
"""Running means over about the last 1 / `SCORE_DECAY` cases, cut off at `HITS`."""

TABLES = (Table("prequential", PREQUENTIAL, (1,), Kept.WHOLE),)


@njit(cache=True)
def ranker_serves(st: State) -> bool:
    """Whether the ranker has learned enough and is not worse than the blend on new cases.

    It is worse if its mean reciprocal rank is lower by more than `DOUBT` standard errors. Comparing
    the means alone let the blend answer 5 to 10 % of the time by chance, where the ranker is a
    point better.
    """
    scores = st.prequential[0]
    error = math.sqrt(scores.lead_variance * SCORE_DECAY / (2 - SCORE_DECAY))
    return st.counters[0].ranker_steps >= SERVE_FROM_STEP and scores.lead >= -DOUBT * error


@njit(cache=True, inline="always")
def _hit_and_gain(place: int):  # type: ignore[no-untyped-def]
    """Return (1 or 0 for hit or miss, reciprocal rank) of a target's place from 0; -1: absent."""
    hit = np.float32(1 if 0 <= place < HITS else 0)
    return hit, (np.float32(1) / (1 + place) if hit > 0 else np.float32(0))


@njit(cache=True)
def note_case(st: State, blend_place: int, ranker_place: int) -> None:
    """Update the scores with a case; places from 0, -1 if the target is no candidate."""
    st.counters[0].cases_scored += 1
    a = np.float32(max(SCORE_DECAY, 1.0 / st.counters[0].cases_scored))
    scores = st.prequential[0]
    hit_blend, gain_blend = _hit_and_gain(blend_place)
    hit_ranker, gain_ranker = _hit_and_gain(ranker_place)
    scores.mrr_blend += a * (gain_blend - scores.mrr_blend)
    scores.mrr_ranker += a * (gain_ranker - scores.mrr_ranker)
    scores.hit_rate_blend += a * (hit_blend - scores.hit_rate_blend)
    scores.hit_rate_ranker += a * (hit_ranker - scores.hit_rate_ranker)
    lead = gain_ranker - gain_blend - scores.lead
    scores.lead += a * lead
    scores.lead_variance = (1 - a) * (scores.lead_variance + a * lead * lead)
