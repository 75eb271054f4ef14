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

Renew = Callable[[NDArray[Any], NDArray[np.int64]], None]
"""Sets the entries of some rows to those of an item that is new."""


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
class Forget:
    """How a table whose entries name rows forgets items that leave.

    A row is used again only after `kernel` has been called for all places. Tables are swept in
    their order in `state_tables.TABLES`: one that takes rows over from another comes after it.

    Parameters
    ----------
    kernel
        Kernel ``(st, place)``: drops every row with ``st.leaving[row]`` from one place, without
        a trace in what kernels read: no gaps where they stop at the first empty entry. A constant
        bound of work, some 100 rows.
    places
        Name of the table whose used entries are the places (``"items"``: a list an item), or their
        number; "": the entries of the table itself.
    """

    kernel: Any
    places: str | int = ""


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
    forget
        How it forgets items that leave; needed wherever a table that is not scratch names rows in
        its entries.
    renew
        Prepares the entries of a row for another item, if the table has one entry per row; without
        it, they become zero.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | Callable[[Limits], int], ...]
    kept: Kept = Kept.SCRATCH
    initial: Initial | None = None
    view_of: str = ""
    forget: Forget | None = None
    renew: Renew | None = None

    @property
    def by_row(self) -> bool:
        """Whether the table has one entry per row."""
        return self.shape[:1] == ("rows",)

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
