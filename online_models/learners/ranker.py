"""The stand-alone learner of the ranker: examples in, weights out; the ranker job hosts it."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from online_models.learners.click import learn_case
from online_models.memory import state, top_k
from online_models.memory.layout import SMALLEST
from online_models.ranking import blend, blend_step, candidates, network, prequential, rankings
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features import registry as features
from online_models.ranking.features.registry import (
    FITTING_SCHEMAS,
    N_COMMON,
    N_FEATURES,
    SCHEMA,
    features_of,
)
from online_models.ranking.ranker_weights import RankerWeights, take_weights
from online_models.state_tables import new_state

Features = NDArray[np.float32]

_HEAD = struct.Struct("<8sI")
_LEARNED = (
    "counters",
    "network",
    "feature_mean",
    "feature_variance",
    "blend_weights",
    "blend_squares",
    "prequential",
)
_COMMON = {
    "network": (network.N_BASE, network.N_BASE),
    "feature_mean": (network.COMMON, N_COMMON),
    "feature_variance": (network.COMMON, N_COMMON),
}
"""Numbers in a row of these without optional features, and how many of them are used."""

_USED = (
    tuple(
        table
        for module in (state, top_k, blend, blend_step, candidates, features, network, prequential)
        for table in module.TABLES
    )
    + rankings.TABLES
)


class RankerLearner:
    """Learns listwise from examples, each scored before it is learned.

    Two learners with the same seed that get the same examples in the same order are equal bit for
    bit, even if one of them was dumped and loaded in between.

    Parameters
    ----------
    seed
        Seed of the initial weights and of replay.
    """

    def __init__(self, seed: int = 0) -> None:
        self.arrays, self._state = new_state(SMALLEST, seed, _USED)

    @property
    def steps(self) -> int:
        """Cases learned: those whose target was among the candidates."""
        return int(self.arrays["counters"]["ranker_steps"][0])

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
        The slot of the case in the replay buffer, -1 if it was not learned: its target is no
        candidate, or a feature is not a finite number of reasonable size.
        """
        n = features.shape[1]
        if not (features.shape[0] == N_FEATURES and n <= CANDIDATES and -1 <= target < n):
            raise ValueError(f"a case of shape {features.shape} with its target at {target}")
        self.arrays["features"][:N_FEATURES, :n] = features
        self.arrays["features"][:N_FEATURES, n:] = 0
        self.arrays["found"]["candidates"] = n
        learn_case(self._state, target)
        return int(self.arrays["replaced"][0])

    def load_case(self, slot: int, features: Features, target: int) -> bool:
        """Restore a case of the replay buffer; return False if it does not fit.

        ``slot`` is what `learn` returned.
        """
        n = features.shape[1]
        if n > CANDIDATES or target >= n:
            return False
        case = self.arrays["replay_features"][slot]
        case[:N_FEATURES, :n] = features
        case[:N_FEATURES, n:] = 0
        self.arrays["replay_sizes"][slot] = n
        self.arrays["replay_targets"][slot] = target
        return True

    def weights(self) -> RankerWeights:
        """Return copies of the weights that answering needs."""
        return take_weights(self.arrays)

    def dump(self) -> bytes:
        """Return everything that was learned, except the cases of the replay buffer."""
        head = _HEAD.pack(SCHEMA.encode(), network.N_NETWORK)
        return b"".join([head, *(self.arrays[name].tobytes() for name in _LEARNED)])

    def fits(self, dumped: bytes) -> bool:
        """Whether what `dump` returned has this version's features, or those of the one before."""
        schema, size = _HEAD.unpack_from(dumped)
        wide = schema.decode() == SCHEMA
        expected = network.N_NETWORK if wide else network.N_BASE
        return schema.decode() in FITTING_SCHEMAS and size == expected

    def features_of(self, dumped: bytes) -> int:
        """Return how many features the cases of what `dump` returned have."""
        return features_of(_HEAD.unpack_from(dumped)[0].decode())

    def load(self, dumped: bytes, keep_cases: bool = False) -> bool:
        """Load what `dump` returned; return False if it does not fit.

        ``keep_cases`` keeps the current cases of the replay buffer (for a roll-back).
        """
        if not self.fits(dumped):
            return False
        counters = self.arrays["counters"]
        seen = int(counters["cases_seen"][0])
        at = _HEAD.size
        wide = self.features_of(dumped) == N_FEATURES
        for name in _LEARNED:
            target = self.arrays[name]
            rows, entries = target.shape if target.ndim == 2 else (1, target.size)
            saved, used = (entries, entries) if wide else _COMMON.get(name, (entries, entries))
            values = np.frombuffer(dumped, target.dtype, rows * saved, at)
            target.reshape(rows, -1)[:, :used] = values.reshape(rows, saved)[:, :used]
            at += values.nbytes
        if keep_cases:
            counters["cases_seen"] = seen
        return True
