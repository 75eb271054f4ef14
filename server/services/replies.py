"""Replies from pre-serialised parts: an item's id is encoded once, and its score inserted.

Serialised protobuf messages can be concatenated, so a reply is its fixed fields followed by one
part per item: 3 us for 20 items, instead of 15 with message objects.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from online_models.engine import Engine

RECOMMEND_ITEMS, RANK_ITEMS, SIMILAR_ITEMS, TRENDING_ITEMS = 2, 2, 1, 1
"""Numbers of the field `items` in the four responses."""

_ID, _SCORE, _LENGTH, _FIXED32 = 1, 2, 2, 5
_RESPONSE = 1
IMPRESSION_ITEMS, IMPRESSION_SCORES, IMPRESSION_POOL, IMPRESSION_POOL_SCORES = 5, 9, 17, 18
"""Numbers of fields of `Impression`."""


class _Encoded:
    """A serialised part for each row; new items are added as needed."""

    def __init__(self, engine: Engine, encode: Callable[[str], bytes]) -> None:
        self._engine = engine
        self._encode = encode
        self._rows: list[bytes] = []
        engine.on_new_item.append(self._renew)

    def _renew(self, row: int) -> None:
        """Encode the item that has got the row of another."""
        if row < len(self._rows):
            self._rows[row] = self._encode(self._engine.ids[row])

    def all(self) -> list[bytes]:
        """Return the encoded items of all rows."""
        rows, ids = self._rows, self._engine.ids
        while len(rows) < len(ids):
            rows.append(self._encode(ids[len(rows)]))
        return rows


class Parts:
    """Serialised heads of `ScoredItem` by row, for one field number of `items`."""

    def __init__(self, engine: Engine, field: int) -> None:
        self._heads = _Encoded(engine, lambda item_id: head(item_id, field))

    def items(self, rows: NDArray[np.int32], scores: NDArray[np.float32]) -> bytes:
        """Return the serialised field `items`."""
        heads = self._heads.all()
        parts = [b""] * (2 * len(rows))
        parts[::2] = map(heads.__getitem__, rows.tolist())
        parts[1::2] = _fours(len(rows)).unpack(scores.astype("<f4").tobytes())
        return b"".join(parts)


@cache
def _fours(n: int) -> struct.Struct:
    """Return a struct that splits bytes into ``n`` groups of four."""
    return struct.Struct("4s" * n)


class Names:
    """Serialised item ids, by row, as a repeated field of strings."""

    def __init__(self, engine: Engine, field: int) -> None:
        self._names = _Encoded(engine, lambda item_id: _field(field, item_id.encode()))

    def items(self, rows: NDArray[np.int32]) -> bytes:
        """Return the serialised field."""
        names = self._names.all()
        return b"".join(map(names.__getitem__, rows.tolist()))


def packed_floats(field: int, values: NDArray[np.float32]) -> bytes:
    """Return a serialised repeated field of floats."""
    return _field(field, values.astype("<f4").tobytes())


def head(item_id: str, field: int) -> bytes:
    """Return a `ScoredItem` up to the four bytes of its score."""
    inner = _field(_ID, item_id.encode()) + bytes([_SCORE << 3 | _FIXED32])
    return bytes([field << 3 | _LENGTH]) + _varint(len(inner) + 4) + inner


def response_field(response: bytes) -> bytes:
    """Return a serialised answer as one of a batch, or as the answer in a message of a stream.

    An item of a GetItemsResponse has the same number.
    """
    return _field(_RESPONSE, response)


def _field(number: int, raw: bytes) -> bytes:
    """Return a serialised field of bytes."""
    return _varint(number << 3 | _LENGTH) + _varint(len(raw)) + raw


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])
