"""A record of `vectors`: an item's two vectors, each of 64 IEEE 754 halves, little endian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from nextclick.v1 import learning_pb2 as pb
from online_models.vectors.two_towers import DIMENSIONS
from records.arrays import HALF, unpack
from records.errors import RecordError


class ItemVectors(NamedTuple):
    """An item's vectors, and what they were learned from.

    ``context`` represents the item in a session, ``target`` the item as the next one; both
    (DIMENSIONS,) float32. ``version`` is the number of clicks learned, ``offsets`` the learner's
    next offset of each partition of `sessions`: for a replica that has applied at least that much,
    the vectors contain no later click.
    """

    context: NDArray[np.float32]
    target: NDArray[np.float32]
    version: int = 0
    offsets: Sequence[int] = ()


def encode(vectors: ItemVectors) -> bytes:
    """Return the value of an item's record."""
    return pb.ItemVectors(
        version=vectors.version,
        context=vectors.context.astype(HALF).tobytes(),
        target=vectors.target.astype(HALF).tobytes(),
        offsets=vectors.offsets,
    ).SerializeToString()


def decode(value: bytes) -> ItemVectors:
    """Return the vectors of a record.

    Raises
    ------
    RecordError
        If it is not such a message, or a vector does not have `DIMENSIONS` finite numbers.
    """
    try:
        message = pb.ItemVectors.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no ItemVectors: {e}") from None
    context = unpack("context", message.context, HALF, DIMENSIONS)
    target = unpack("target", message.target, HALF, DIMENSIONS)
    # The message's own list of offsets would keep the whole message.
    return ItemVectors(context, target, message.version, tuple(message.offsets))
