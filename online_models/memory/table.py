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
"""Bytes that the processor reads at once; tables begin at such a boundary."""

Arrays = dict[str, NDArray[Any]]
Initial = Callable[[NDArray[Any], Limits, int], None]
"""Fills an empty table: called with the table, the limits and the seed."""


class Kept(StrEnum):
    """How much of a table a snapshot keeps; the leading part that is in use."""

    SCRATCH = "scratch"
    """Nothing: notes of a running answer, or of a step of learning."""
    WHOLE = "whole"
    ROWS = "rows"
    """One entry for each item that has a row, and row 0."""
    SESSIONS = "sessions"
    """One entry for each session slot that was ever used."""
    ARENA = "arena"
    """What was ever taken, as the table `NAME_meta` says (`memory.slabs`)."""
    HASHED = "hashed"
    """Entries whose field `key` is not 0, with their places."""
    CASES = "cases"
    """One entry for each replayed case."""


@dataclass(frozen=True)
class Table:
    """One array of the models.

    Parameters
    ----------
    name
        Field of `State`, and file of the snapshot.
    dtype
        Of one entry.
    shape
        Numbers, names of attributes of `Limits` (``"rows"``, ``"max_sessions"``, ``"pairs"``), or
        functions of the limits.
    kept
        What a snapshot keeps.
    initial
        Fills the empty table; without it, it is zero.
    view_of
        Name of the table whose bytes this one shows as another type. Takes no memory.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | Callable[[Limits], int], ...]
    kept: Kept = Kept.SCRATCH
    initial: Initial | None = None
    view_of: str = ""

    def sizes(self, limits: Limits) -> tuple[int, ...]:
        """Return the shape at some limits."""
        return tuple(
            side if isinstance(side, int)
            else int(getattr(limits, side)) if isinstance(side, str)
            else side(limits)
            for side in self.shape
        )  # fmt: skip

    def nbytes(self, limits: Limits) -> int:
        """Return the bytes that the table takes at some limits, once all of it is touched."""
        if self.view_of:
            return 0
        return int(np.prod(self.sizes(limits))) * np.dtype(self.dtype).itemsize

    def allocate(self, limits: Limits, seed: int) -> NDArray[Any]:
        """Return the empty table, on pages that are not touched yet."""
        table = aligned(self.sizes(limits), self.dtype)
        if self.initial is not None:
            self.initial(table, limits, seed)
        return table


def aligned(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros that begin at a cache line."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(kind).reshape(shape)


def allocate(tables: tuple[Table, ...], limits: Limits, seed: int) -> Arrays:
    """Return some tables, empty, by name."""
    arrays = {t.name: t.allocate(limits, seed) for t in tables if not t.view_of}
    for t in tables:
        if t.view_of:
            arrays[t.name] = arrays[t.view_of].view(t.dtype)
    return arrays
