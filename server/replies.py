"""Replies from pre-serialised parts: an item's id is encoded once, its score spliced in.

Protobuf messages may be concatenated, so a reply is its fixed fields followed by one part
an item; 3 us for 20 items instead of 15 with message objects.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from online_models.engine import Engine

RECOMMEND_ITEMS, RANK_ITEMS, SIMILAR_ITEMS, TRENDING_ITEMS = 2, 2, 1, 1
"""Numbers of the field `items` in the four responses."""

_ID, _SCORE, _LENGTH, _FIXED32 = 1, 2, 2, 5
_RESPONSE = 1
IMPRESSION_ITEMS, IMPRESSION_SCORES = 5, 9
"""Numbers of two fields of `Impression`."""


class Parts:
    """Serialised heads of `ScoredItem`, by row, for one number of the field `items`."""

    def __init__(self, engine: Engine, field: int) -> None:
        self._engine = engine
        self._field = field
        self._heads: list[bytes] = []

    def items(self, rows: NDArray[np.int32], scores: NDArray[np.float32]) -> bytes:
        """Return the serialised field `items`."""
        heads, ids = self._heads, self._engine.ids
        while len(heads) < len(ids):
            heads.append(head(ids[len(heads)], self._field))
        raw = scores.astype("<f4").tobytes()
        parts = [(heads[row], raw[4 * i : 4 * i + 4]) for i, row in enumerate(rows.tolist())]
        return b"".join(chain.from_iterable(parts))


class Names:
    """Serialised item ids, by row, as a repeated field of strings."""

    def __init__(self, engine: Engine, field: int) -> None:
        self._engine = engine
        self._tag = bytes([field << 3 | _LENGTH])
        self._names: list[bytes] = []

    def items(self, rows: NDArray[np.int32]) -> bytes:
        """Return the serialised field."""
        names, ids = self._names, self._engine.ids
        while len(names) < len(ids):
            name = ids[len(names)].encode()
            names.append(self._tag + _varint(len(name)) + name)
        return b"".join([names[row] for row in rows.tolist()])


def packed_floats(field: int, values: NDArray[np.float32]) -> bytes:
    """Return a serialised repeated field of floats."""
    raw = values.astype("<f4").tobytes()
    return bytes([field << 3 | _LENGTH]) + _varint(len(raw)) + raw


def head(item_id: str, field: int) -> bytes:
    """Return a `ScoredItem` up to the four bytes of its score."""
    name = item_id.encode()
    inner = (
        bytes([_ID << 3 | _LENGTH]) + _varint(len(name)) + name + bytes([_SCORE << 3 | _FIXED32])
    )
    return bytes([field << 3 | _LENGTH]) + _varint(len(inner) + 4) + inner


def response_field(response: bytes) -> bytes:
    """Return a serialised answer as one of a batch, or as the answer in a stream's message."""
    return bytes([_RESPONSE << 3 | _LENGTH]) + _varint(len(response)) + response


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])
