"""Declaration of a table: its type, its size at given limits, and what a snapshot keeps of it.

Each model declares its tables beside the code that uses them. The fields of `State`, the
allocation, the memory formula and the snapshot follow from these declarations
(`online_models.state_tables`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.memory.layout import Limits

CACHE_LINE = 64
"""Bytes that the CPU loads at once; tables are aligned to it."""

Arrays = dict[str, NDArray[Any]]
Initial = Callable[[NDArray[Any], Limits, int], None]
"""Sets the initial values of a table; called with the table, the limits and the seed."""


class Kept(StrEnum):
    """Which part of a table a snapshot keeps."""

    SCRATCH = "scratch"
    """Nothing: working memory of an answer or of a learning step."""
    WHOLE = "whole"
    ROWS = "rows"
    """One entry for each item that has a row, and row 0."""
    SESSIONS = "sessions"
    """One entry for each session slot that has been used."""
    ARENA = "arena"
    """The part that has been allocated, by the table `NAME_meta` (`memory.slabs`)."""
    HASHED = "hashed"
    """The entries whose field `key` is not 0, and their places."""
    CASES = "cases"
    """One entry for each replayed case."""


@dataclass(frozen=True)
class Table:
    """One array of the models.

    Parameters
    ----------
    name
        Field of `State`, and file name in a snapshot.
    dtype
        Type of an entry.
    shape
        Each side is a number, the name of an attribute of `Limits` (``"rows"``,
        ``"max_sessions"``, ``"pairs"``), or a function of the limits.
    kept
        What a snapshot keeps.
    initial
        Sets initial values; without it, the table is zero.
    view_of
        Name of another table whose bytes this one shows as ``dtype``; takes no memory itself.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | Callable[[Limits], int], ...]
    kept: Kept = Kept.SCRATCH
    initial: Initial | None = None
    view_of: str = ""

    def sizes(self, limits: Limits) -> tuple[int, ...]:
        """Return the shape at the given limits."""
        return tuple(
            side if isinstance(side, int)
            else int(getattr(limits, side)) if isinstance(side, str)
            else side(limits)
            for side in self.shape
        )  # fmt: skip

    def nbytes(self, limits: Limits) -> int:
        """Return the bytes that the table takes at the given limits, once all of it is touched."""
        if self.view_of:
            return 0
        return int(np.prod(self.sizes(limits))) * np.dtype(self.dtype).itemsize

    def allocate(self, limits: Limits, seed: int) -> NDArray[Any]:
        """Return the empty table, on pages that are untouched unless it has initial values."""
        table = aligned(self.sizes(limits), self.dtype)
        if self.initial is not None:
            self.initial(table, limits, seed)
        return table


def aligned(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros, aligned to a cache line."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(kind).reshape(shape)


def allocate(tables: tuple[Table, ...], limits: Limits, seed: int) -> Arrays:
    """Return empty tables by name."""
    arrays = {t.name: t.allocate(limits, seed) for t in tables if not t.view_of}
    for t in tables:
        if t.view_of:
            arrays[t.name] = arrays[t.view_of].view(t.dtype)
    return arrays
