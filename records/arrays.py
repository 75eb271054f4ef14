"""One-dimensional arrays as bytes, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from records.errors import RecordError

HALF, FLOAT = np.dtype("<f2"), np.dtype("<f4")


def unpack(field: str, raw: bytes, kind: np.dtype[Any], size: int) -> NDArray[np.float32]:
    """Return the numbers of a field, (size,) float32.

    Raises
    ------
    RecordError
        If ``raw`` does not hold that many numbers, all of them finite: a single one that is not
        would spread to all that is computed with it, and to what is learned from that.
    """
    expected = size * kind.itemsize
    if len(raw) != expected:
        raise RecordError(field, f"has {len(raw)} bytes, not {expected} ({size} of {kind})")
    values = np.frombuffer(raw, kind).astype(np.float32)
    if not np.isfinite(values).all():
        raise RecordError(field, "has a number that is not finite")
    return values
