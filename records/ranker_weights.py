"""A record of `ranker`: the progress of a learner and, for the ranker, its weights.

The arrays of weights are IEEE 754 floats, little endian; `SIZES` has their lengths.
"""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from nextclick.limits import MAX_KEPT_VERSIONS, MAX_SAMPLED_PERIODS
from nextclick.v1 import learning_pb2 as pb
from online_models.ranking.features.registry import FITTING_SCHEMAS, SCHEMA
from online_models.ranking.ranker_weights import COMMON_SIZES, SIZES, RankerWeights, widened
from records.arrays import FLOAT, unpack
from records.errors import RecordError
from records.limited import check_at_most


class LearnerRecord(NamedTuple):
    """The contents of a record of `ranker`.

    ``state`` is the message without its weights. ``fits`` says whether these were learned with this
    version's features, None if there are none; only weights that fit are in ``weights``.
    """

    state: pb.LearnerState
    weights: RankerWeights | None
    fits: bool | None


def encode(state: pb.LearnerState, weights: RankerWeights | None = None) -> bytes:
    """Return the value of a learner's record.

    Parameters
    ----------
    state
        Its progress; the field ``weights`` is set here.
    weights
        Weights of the ranker; other learners have none.
    """
    if weights is not None:
        arrays = {name: getattr(weights, name).astype(FLOAT).tobytes() for name in SIZES}
        state.weights.CopyFrom(pb.RankerWeights(feature_schema=SCHEMA, **arrays))
    return state.SerializeToString()


def decode(value: bytes) -> LearnerRecord:
    """Return the contents of a record; weights of the version before get what is new to it.

    Raises
    ------
    RecordError
        If it is not such a message, has more versions or periods than a learner keeps, or an array
        of weights that fit does not have its length in `SIZES`, has a number that is not finite, or
        holds what cannot be.
    """
    try:
        state = pb.LearnerState.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no LearnerState: {e}") from None
    check_at_most("kept_versions", state.kept_versions, MAX_KEPT_VERSIONS)
    check_at_most("sampled", state.sampled, MAX_SAMPLED_PERIODS)
    if not state.HasField("weights"):
        return LearnerRecord(state, None, None)
    fits = state.weights.feature_schema in FITTING_SCHEMAS
    weights = _weights(state.weights, state.learned) if fits else None
    state.ClearField("weights")
    return LearnerRecord(state, weights, fits)


def _weights(message: pb.RankerWeights, learned: int) -> RankerWeights:
    sizes = SIZES if message.feature_schema == SCHEMA else COMMON_SIZES
    arrays = {
        name: widened(name, unpack(f"weights.{name}", getattr(message, name), FLOAT, size))
        for name, size in sizes.items()
    }
    if arrays["variance"].min() < 0:
        raise RecordError("weights.variance", "has a negative number")
    if learned >= 1 << 63:
        raise RecordError("learned", f"is {learned}, more cases than can be")
    return RankerWeights(**arrays, steps=learned)
