"""A record of `examples`: a case for the ranker, taken before its click was learned.

Features are IEEE 754 halves, little endian, feature by feature: N_FEATURES rows of n candidates.
Halves are precise enough to learn from, and need half the bytes on a topic with 7.5 kB per click.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from nextclick.topics import EXAMPLES
from nextclick.v1 import learning_pb2 as pb
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import FITTING_SCHEMAS, N_FEATURES, SCHEMA
from records.arrays import HALF, unpack
from records.errors import RecordError
from records.limited import check_size

LARGEST = 60_000.0
"""Features are clipped to this; the largest half is 65,504."""


class Example(NamedTuple):
    """A case, and the click that it was made from.

    ``features`` is (N_FEATURES, n) float32, in the blend's order of candidates, best first;
    ``target`` is the place of the item that came next, -1 if it is no candidate (then n is 0).
    ``session_id`` and ``seq`` of the click identify the example.
    """

    session_id: str
    seq: int
    item_ids: Sequence[str]
    features: NDArray[np.float32]
    target: int


def encode(example: Example) -> bytes:
    """Return the value of an example's record."""
    return pb.Example(
        feature_schema=SCHEMA,
        session_id=example.session_id,
        seq=example.seq,
        item_ids=example.item_ids,
        features=pack_features(example.features),
        target=example.target + 1,
    ).SerializeToString()


def parse(value: bytes) -> pb.Example:
    """Return a record as its message, without decoding the features.

    The click can be read even if the features have another schema.

    Raises
    ------
    RecordError
        If it is not such a message, or larger than the topic declares.
    """
    check_size(EXAMPLES, b"", value)
    try:
        return pb.Example.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no Example: {e}") from None


def decode(message: pb.Example) -> Example:
    """Return the example of a message.

    Raises
    ------
    RecordError
        If its features have another schema, it has more than `CANDIDATES` candidates, its target is
        none of them, or the size of its features does not match.
    """
    if message.feature_schema not in FITTING_SCHEMAS:
        raise RecordError("feature_schema", f"is {message.feature_schema!r}, not {SCHEMA!r}")
    n = len(message.item_ids)
    if n > CANDIDATES:
        raise RecordError("item_ids", f"has {n} candidates, more than {CANDIDATES}")
    if message.target > n:
        raise RecordError("target", f"is {message.target}, beyond the {n} candidates")
    features = unpack("features", message.features, HALF, N_FEATURES * n).reshape(N_FEATURES, n)
    return Example(
        message.session_id, message.seq, list(message.item_ids), features, message.target - 1
    )


def pack_features(features: NDArray[np.float32]) -> bytes:
    """Return features (N_FEATURES, n) as halves."""
    return np.clip(features, -LARGEST, LARGEST).astype(HALF).tobytes()


def unpack_features(raw: bytes) -> NDArray[np.float32]:
    """Return the features that `pack_features` packed, (N_FEATURES, n) float32.

    Raises
    ------
    RecordError
        If the number of bytes is not a whole number of candidates.
    """
    n = len(raw) // (N_FEATURES * HALF.itemsize)
    return unpack("features", raw, HALF, N_FEATURES * n).reshape(N_FEATURES, n)
