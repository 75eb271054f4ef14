"""The ranker's learning by itself: examples in, weights out; what the ranker job hosts."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models import learning as online
from online_models.memory.layout import (
    CANDIDATES,
    CASES_SEEN,
    FIELDS,
    LEARNED_COUNTERS,
    REPLACED,
    STEPS,
    Limits,
    State,
)
from online_models.ranking import network as ranker
from online_models.ranking.blend_weights import READINGS
from online_models.ranking.features import N_FEATURES, SCHEMA

Features = NDArray[np.float32]

_HEAD = struct.Struct("<8sI")
_LEARNED = ("ctr", "ranker", "mean", "variance", "weights", "weight_squares", "case_scores")


@dataclass(frozen=True, slots=True)
class RankerWeights:
    """What answering needs of a ranker.

    Parameters
    ----------
    network
        Averaged weights, (N_RANKER,) float32.
    mean, variance
        Running normalisation of the features, (N_FEATURES,) float32 each.
    linear
        Weights that pick the candidates, (64,) float32.
    scores
        Running (MRR of blend, of ranker, hit rate of blend, of ranker, the ranker's lead in MRR,
        its variance), (6,) float32.
    steps
        Cases learned.
    """

    network: Features
    mean: Features
    variance: Features
    linear: Features
    scores: Features
    steps: int


class RankerLearner:
    """Learns listwise from examples, each scored before it is learned.

    Two learners of one seed that get the same examples in the same order are equal to the
    last bit, also if one of them was dumped and loaded on the way.

    Parameters
    ----------
    seed
        Seed of the first weights and of what is replayed.
    """

    def __init__(self, seed: int = 0) -> None:
        tiny = Limits(max_items=1, max_sessions=64, pairs=64)
        self.arrays = ranker.allocate_models(tiny, seed)
        self.arrays["weights"][: len(READINGS["blend"])] = READINGS["blend"]
        self._state = State(*[self.arrays[name] for name in FIELDS])

    @property
    def steps(self) -> int:
        """Cases learned: those whose target was among the candidates."""
        return int(self.arrays["ctr"][STEPS])

    def learn(self, features: Features, target: int) -> int:
        """Score a case, then learn it.

        Parameters
        ----------
        features
            (N_FEATURES, n), n up to `CANDIDATES`; candidates in the order of the blend.
        target
            Place of the item that came next, -1 if it is none of them.

        Returns
        -------
        The slot in which the case now lies to be replayed, -1 if it taught nothing: its
        target is no candidate, or a feature is no number of a sane size.
        """
        n = features.shape[1]
        if not (features.shape[0] == N_FEATURES and n <= CANDIDATES and -1 <= target < n):
            raise ValueError(f"a case of shape {features.shape} with its target at {target}")
        self.arrays["features"][:, :n] = features
        self.arrays["features"][:, n:] = 0
        online.learn_example(self._state, n, target)
        return int(self.arrays["ctr"][REPLACED])

    def load_case(self, slot: int, features: Features, target: int) -> None:
        """Put back a case that is to be replayed; `slot` as `learn` returned it."""
        n = features.shape[1]
        case = self.arrays["old_cases"][slot]
        case[:, :n], case[:, n:] = features, 0
        self.arrays["old_sizes"][slot] = n
        self.arrays["old_targets"][slot] = target

    def weights(self) -> RankerWeights:
        """Return copies of what answering needs."""
        a = self.arrays
        return RankerWeights(
            a["ranker"][ranker.AVERAGED].copy(),
            a["mean"].copy(),
            a["variance"].copy(),
            a["weights"].copy(),
            a["case_scores"].copy(),
            self.steps,
        )

    def dump(self) -> bytes:
        """Return everything learned but the cases that are replayed."""
        parts = [_HEAD.pack(SCHEMA.encode(), ranker.N_RANKER)]
        for name in _LEARNED:
            part = self.arrays[name]
            parts.append((part[:LEARNED_COUNTERS] if name == "ctr" else part).tobytes())
        return b"".join(parts)

    def load(self, dumped: bytes, keep_cases: bool = False) -> bool:
        """Take over what `dump` returned; False if its features are of another schema.

        ``keep_cases``: the cases to be replayed are those of now (a roll-back), not of then.
        """
        schema, size = _HEAD.unpack_from(dumped)
        if schema.decode() != SCHEMA or size != ranker.N_RANKER:
            return False
        seen = int(self.arrays["ctr"][CASES_SEEN])
        at = _HEAD.size
        for name in _LEARNED:
            part = self.arrays[name]
            target = part[:LEARNED_COUNTERS] if name == "ctr" else part.reshape(-1)
            values = np.frombuffer(dumped, part.dtype, target.size, at)
            target[:] = values
            at += values.nbytes
        if keep_cases:
            self.arrays["ctr"][CASES_SEEN] = seen
        return True
