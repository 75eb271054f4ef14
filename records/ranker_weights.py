"""A record of `ranker`: where a learner stands and, of the ranker, its weights.

Each array of the weights goes as IEEE 754 floats, little endian; `SIZES` has their lengths.
"""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from nextclick.v1 import learning_pb2 as pb
from online_models.ranking.features.registry import FITTING_SCHEMAS, SCHEMA
from online_models.ranking.ranker_weights import SIZES, RankerWeights
from records.arrays import FLOAT, unpack
from records.errors import RecordError


class LearnerRecord(NamedTuple):
    """What a record of `ranker` says.

    ``state`` is the message without its weights. ``fits`` says whether these are of this program's
    features, None where there are none; only those that fit are in ``weights``.
    """

    state: pb.LearnerState
    weights: RankerWeights | None
    fits: bool | None


def encode(state: pb.LearnerState, weights: RankerWeights | None = None) -> bytes:
    """Return the value of a learner's record.

    Parameters
    ----------
    state
        Where it stands; its field ``weights`` is set here.
    weights
        The ranker's; other learners have none.
    """
    if weights is not None:
        arrays = {name: getattr(weights, name).astype(FLOAT).tobytes() for name in SIZES}
        state.weights.CopyFrom(pb.RankerWeights(feature_schema=SCHEMA, **arrays))
    return state.SerializeToString()


def decode(value: bytes) -> LearnerRecord:
    """Return what a record says.

    Raises
    ------
    RecordError
        If it is no such message, or an array of weights that fit has another length than `SIZES`
        says.
    """
    try:
        state = pb.LearnerState.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no LearnerState: {e}") from None
    if not state.HasField("weights"):
        return LearnerRecord(state, None, None)
    fits = state.weights.feature_schema in FITTING_SCHEMAS
    weights = _weights(state.weights, state.learned) if fits else None
    state.ClearField("weights")
    return LearnerRecord(state, weights, fits)


def _weights(message: pb.RankerWeights, learned: int) -> RankerWeights:
    arrays = {
        name: unpack(f"weights.{name}", getattr(message, name), FLOAT, size)
        for name, size in SIZES.items()
    }
    return RankerWeights(**arrays, steps=learned)
