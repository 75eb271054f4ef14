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

Place = Callable[[NDArray[Any], int], NDArray[np.int64]]
"""Returns the places of entries (n,) of a hash table, (n,), in a table of the given size."""

Shorten = Callable[[NDArray[Any], NDArray[Any], int], NDArray[Any]]
"""Returns lists (n, longer) cut to (n, shorter), for their owners (n,), which it may change."""


class Kept(StrEnum):
    """Which part of a table a snapshot keeps."""

    SCRATCH = "scratch"
    """Nothing: working memory of an answer or of a learning step, or what follows from the rest."""
    WHOLE = "whole"
    ROWS = "rows"
    """One entry for each item that has a row, and row 0."""
    SESSIONS = "sessions"
    """One entry for each session slot that has been used."""
    ARENA = "arena"
    """The part that has been allocated, by the table `NAME_meta` (`memory.slabs`); see `Lists`."""
    HASHED = "hashed"
    """The entries whose field `key` is not 0; their places follow from the keys (`Table.place`)."""
    CASES = "cases"
    """One entry for each replayed case."""


@dataclass(frozen=True)
class Forget:
    """How a table whose entries name rows forgets items that leave, and follows those that move.

    A row is used again only after `kernel` has been called for all places, except for tables that
    drop an item as it leaves. Tables are swept in their order in `state_tables.TABLES`: one that
    takes rows over from another comes after it.

    Parameters
    ----------
    kernel
        Kernel ``(st, place)``: replaces every row of one place by ``st.becomes[row]``. That is the
        row itself, another one (once, when a snapshot is read into smaller limits), or 0 for an
        item that leaves: it is dropped without a trace in what kernels read, no gaps where they
        stop at the first empty entry. A constant bound of work, some 100 rows.
    places
        Name of the table whose used entries are the places (``"items"``: a list an item), or their
        number; "": the entries of the table itself.
    cost
        Work of a place, compared with that of a session: a step takes that many fewer of them.
    leaving
        Whether a place may name an item that leaves; otherwise they only follow those that move.
    """

    kernel: Any
    places: str | int = ""
    cost: int = 1
    leaving: bool = True


@dataclass(frozen=True)
class Lists:
    """Whose lists an arena holds, each in a slab (`memory.slabs`).

    Parameters
    ----------
    owners
        Name of the table with an entry for each list; it comes before the arena.
    at, slab
        Its fields with the first entry of the list, and with the number of its slab, 0: none.
    sizes
        Entries of a slab by its number.
    shorten
        Cuts lists for smaller slabs, or for none, when a snapshot is read into smaller limits.
    """

    owners: str
    at: str
    slab: str
    sizes: NDArray[np.int64]
    shorten: Shorten


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
    place
        Where the entries of a hash table belong; needed for `Kept.HASHED`.
    lists
        What an arena holds; needed for `Kept.ARENA`.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | Callable[[Limits], int], ...]
    kept: Kept = Kept.SCRATCH
    initial: Initial | None = None
    view_of: str = ""
    forget: Forget | None = None
    renew: Renew | None = None
    place: Place | None = None
    lists: Lists | None = None

    def __post_init__(self) -> None:
        """Refuse a declaration without which a snapshot could not be read."""
        for kept, field in ((Kept.HASHED, "place"), (Kept.ARENA, "lists")):
            if self.kept is kept and getattr(self, field) is None:
                raise TypeError(f"table {self.name}: {kept} needs `{field}`")

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

    def put_hashed(self, table: NDArray[Any], entries: NDArray[Any]) -> None:
        """Put entries where they belong; of those with the same place, the last one stays."""
        assert self.place is not None
        table[self.place(entries, len(table))] = entries

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
