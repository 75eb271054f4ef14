"""A record of `examples`: a case for the ranker, taken before its click was learned.

Features are IEEE 754 halves, feature by feature: N_FEATURES rows of n candidates. Halves are
precise enough to learn from. Of each row only those are written that differ from the value of the
candidate before, since half of them do not: 2.4 kB a click with the shipped sample (all halves were
4.5 with the candidates' ids), whatever the ids, and 12 kB at most. The ids are there for those who
export examples (`nextclick features export`): two bytes and its length for each, 17 kB at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from nextclick.v1 import learning_pb2 as pb
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import (
    FITTING_SCHEMAS,
    N_FEATURES,
    SCHEMA,
    features_of,
)
from records.arrays import HALF, unpack
from records.errors import RecordError
from records.limited import check_times
from records.session_life import Applied

LARGEST = 60_000.0
"""Features are clipped to this; the largest half is 65,504."""


class Example(NamedTuple):
    """A case, and the click that it was made from.

    ``session_id`` and ``click``, its place in the session, name the example. ``features`` is
    (N_FEATURES, n) float32, in the blend's order of candidates, best first; ``target`` is the place
    of the item that came next, -1 if it is no candidate (then n is 0). ``item_ids`` are the
    candidates; empty where a record of an older version has none.
    """

    session_id: str
    click: Applied
    features: NDArray[np.float32]
    target: int
    item_ids: tuple[str, ...] = ()


def encode(example: Example) -> bytes:
    """Return the value of an example's record."""
    click = example.click
    return pb.Example(
        feature_schema=SCHEMA,
        session_id=example.session_id,
        seq=click.version,
        incarnation=click.incarnation,
        appended_ms=click.appended_ms,
        candidates=example.features.shape[1],
        packed_features=_changes(example.features),
        target=example.target + 1,
        candidate_ids=example.item_ids,
    ).SerializeToString()


def parse(value: bytes, arrived_ms: int | None = None) -> pb.Example:
    """Return a record as its message, without decoding the features.

    The click can be read even if the features have another schema. ``arrived_ms`` is when the
    record arrived (`records.limited.check_times`).

    Raises
    ------
    RecordError
        If it is not such a message, or its click has a time before 1970 or in the future.
    """
    try:
        message = pb.Example.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no Example: {e}") from None
    check_times(message, arrived_ms)
    return message


def click_of(message: pb.Example) -> Applied:
    """Return the click of a message."""
    return Applied(message.incarnation, message.seq, message.appended_ms)


def decode(message: pb.Example) -> Example:
    """Return the example of a message, of older versions too: features new to them are 0.

    Raises
    ------
    RecordError
        If its features have another schema or another size, it has more than `CANDIDATES`
        candidates, its target is none of them, or it names others than it has.
    """
    if message.feature_schema not in FITTING_SCHEMAS:
        raise RecordError("feature_schema", f"is {message.feature_schema!r}, not {SCHEMA!r}")
    n = message.candidates or len(message.item_ids)
    ids = tuple(message.candidate_ids or message.item_ids)
    if n > CANDIDATES:
        raise RecordError("candidates", f"are {n}, more than {CANDIDATES}")
    rows = features_of(message.feature_schema)
    if message.item_ids:
        features = unpack("features", message.features, HALF, rows * n).reshape(rows, n)
    else:
        features = _unchanged(message.packed_features, rows, n)
    features = widened(features)
    if message.target > n:
        raise RecordError("target", f"is {message.target}, beyond the {n} candidates")
    if ids and len(ids) != n:
        raise RecordError("candidate_ids", f"are {len(ids)} of {n} candidates")
    return Example(message.session_id, click_of(message), features, message.target - 1, ids)


def pack_features(features: NDArray[np.float32]) -> bytes:
    """Return features (N_FEATURES, n) as halves."""
    return np.clip(features, -LARGEST, LARGEST).astype(HALF).tobytes()


def widened(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (N_FEATURES, n): those that the version before did not have are 0."""
    wide = np.zeros((N_FEATURES, features.shape[1]), np.float32)
    wide[: len(features)] = features
    return features if len(features) == N_FEATURES else wide


def unpack_features(raw: bytes, rows: int = N_FEATURES) -> NDArray[np.float32]:
    """Return the features that `pack_features` packed, ``rows`` of them, (N_FEATURES, n) float32.

    Raises
    ------
    RecordError
        If the number of bytes is not a whole number of candidates.
    """
    n = len(raw) // (rows * HALF.itemsize)
    return widened(unpack("features", raw, HALF, rows * n).reshape(rows, n))


def _changes(features: NDArray[np.float32]) -> bytes:
    """Return which features differ from those of the candidate before, and these as halves."""
    halves = np.frombuffer(pack_features(features), np.uint16).reshape(features.shape)
    differs = np.ones(halves.shape, np.bool_)
    differs[:, 1:] = halves[:, 1:] != halves[:, :-1]
    return np.packbits(differs).tobytes() + halves[differs].tobytes()


def _unchanged(packed: bytes, rows: int, n: int) -> NDArray[np.float32]:
    """Return the features that `_changes` packed, (rows, n) float32."""
    size = (rows * n + 7) // 8
    if len(packed) < size:
        raise RecordError("packed_features", f"has {len(packed)} bytes, less than {size}")
    bits = np.frombuffer(packed, np.uint8, size)
    differs = np.unpackbits(bits, count=rows * n).astype(np.bool_)
    if not differs[:: max(n, 1)].all():
        raise RecordError("packed_features", "has a row without its first value")
    values = unpack("packed_features", packed[size:], HALF, int(differs.sum()))
    features: NDArray[np.float32] = values[np.cumsum(differs) - 1].reshape(rows, n)
    return features
