"""Rows of items: which item has which, and which rows are free.

A row is in use, leaving, or free. When an item leaves, it has no row from then on; its row is 0 in
``State.becomes``, and free for another item once a sweep (`online_models.sweep`) has removed every
reference to it.

    new_row --> in use -- leave --> leaving -- end of a sweep --> free -- new_row --> in use
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.sharded_dict import ShardedDict
from online_models.memory.state import State
from online_models.memory.table import Arrays, Kept, Table

DELETED, UNAVAILABLE, IN_CATALOGUE, CONFIRMED, TIMED, CLOSED = 1, 2, 4, 8, 16, 32
"""Flags of an item. Confirmed: in the catalogue, or by clicks (`ItemRows.confirms`). Timed: it is
available within some time only; closed: it was outside that when somebody last looked."""

NOT_NOW = UNAVAILABLE | CLOSED
"""Flags of an item that is not available, as far as flags say."""

NOTHING_NEW, ALONE, BESIDE = range(3)
"""What a click tells of an item: nothing new; that another session has clicked it; or that this one
has also clicked a confirmed item."""

STAT = np.dtype(
    [
        ("clicks", "f4"),
        ("log_clicks", "f4"),  # log(1 + clicks)
        ("long", "f8"),  # log of popularity with long decay, plus clock / DECAY_LONG
        ("short", "f8"),  # the same with the short decay
        ("last", "i8"),  # clock of its last click
        ("flags", "i4"),
        ("at_long", "i4"),  # place in the list of popular items, plus one
        ("at_short", "i4"),  # place in the list by recent popularity, plus one
        ("born", "f4"),  # clock when it got its row
        ("from_s", "u4"),  # since when it is available, seconds since 1970; 0: ever since
        ("until_s", "u4"),  # until when; 0: for ever
        ("spare", "i4", (2,)),
    ]
)
"""What blend and ranker read of every candidate: one cache line per item."""


TABLES = (
    Table("stats", STAT, ("rows",), Kept.ROWS),
    Table("becomes", np.int32, ("rows",)),
)
"""``becomes`` is a row itself, 0 if no item has it: nothing may refer to it from the next sweep on
(`memory.table.Forget`)."""

PATIENCE = 1.0
"""An item that is not clicked for this many clicks, as a multiple of the most items, loses 1 of its
worth: an item with e times as many clicks is kept that much longer."""

CATALOGUE_WORTH, UNCONFIRMED_WORTH = 1.0, -1.0
"""Added to the worth of an item in the catalogue, and of one that only one session has clicked."""


@njit(cache=True)
def worth(st: State, row: int, clock: int):  # type: ignore[no-untyped-def]
    """Return what keeping an item is worth: the log of its clicks, less for each click since."""
    s = st.stats[row]
    since = clock - max(np.float64(s.last), np.float64(s.born))
    x = math.log(1.0 + s.clicks) - since / (PATIENCE * len(st.stats))
    if s.flags & IN_CATALOGUE:
        x += CATALOGUE_WORTH
    if not s.flags & CONFIRMED:
        x += UNCONFIRMED_WORTH
    return x


@njit(cache=True, inline="always")
def in_its_time(st: State, row: int, now_s: int) -> bool:
    """Whether an item that is `TIMED` is available at a time; 0: the time is not known."""
    s = st.stats[row]
    from_s, until_s = np.int64(s.from_s), np.int64(s.until_s)
    return bool(now_s == 0 or (from_s <= now_s and (until_s == 0 or now_s < until_s)))


@njit(cache=True)
def told_by_session(st: State, row: int, rows: NDArray[np.int32], first: int, n: int) -> int:
    """Return what it tells of an item that another session has clicked it, beside ``n`` rows."""
    if st.stats[row].flags & CONFIRMED:
        return NOTHING_NEW
    for i in range(first, first + n):
        if st.stats[rows[i]].flags & CONFIRMED:
            return BESIDE
    return ALONE


class ItemRows:
    """Maps item ids to rows; row 0 means "no item".

    Parameters
    ----------
    limits
        Bounds of the table.
    arrays
        The models' arrays, by field of `State`.
    """

    def __init__(self, limits: Limits, arrays: Arrays) -> None:
        self.limits = limits
        self.arrays = arrays
        self.ids: list[str] = [""]
        """Ids by row; that of a row that nobody has any more stays until another item has it."""
        self.rows = ShardedDict[int]()
        self.leaving: list[int] = []
        self.free: list[int] = []
        self.given = 0
        """How often an item has got a row."""
        self.in_catalogue = 0
        """Items that the catalogue has."""
        self.on_new_item: list[Callable[[int], None]] = []
        """Called with a row that was another item's before, for whoever keeps something by row."""
        self.on_leave: list[Callable[[str], None]] = []
        """Called with the id of an item that leaves, for whoever keeps something by item."""

    @property
    def clock(self) -> int:
        """Clicks so far."""
        return int(self.arrays["counters"]["clock"][0])

    @property
    def spare(self) -> int:
        """Rows that new items can get now."""
        return len(self.free) + self.limits.max_items + 1 - len(self.ids)

    def row(self, item_id: str) -> int:
        """Return the row of an item, 0 if it has none."""
        return self.rows.get(item_id, 0)

    def rows_of(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of items, 0 for each that has none."""
        return self.rows.values_of(item_ids, 0)

    def item_id(self, row: int) -> str:
        """Return the id of the item in a row."""
        return self.ids[row]

    def new_row(self, item_id: str) -> int:
        """Return a row for an item that has none; 0 if none is free yet."""
        self.make_room()
        if self.free:
            row = self.free.pop()
            self.ids[row] = item_id
            self.arrays["stats"]["flags"][row] = 0
            for call in self.on_new_item:
                call(row)
        elif len(self.ids) <= self.limits.max_items:
            row = len(self.ids)
            self.ids.append(item_id)
            self.arrays["counters"]["rows"][0] = row
        else:
            return 0
        self.rows[item_id] = row
        self.given += 1
        self.arrays["becomes"][row] = row
        self.arrays["stats"]["born"][row] = self.clock
        self.begin_row(row)
        return row

    def leave(self, row: int) -> None:
        """Take an item's row away: it is in no answer from now on."""
        del self.rows[self.ids[row]]
        self.end_row(row)
        self.arrays["becomes"][row] = 0
        self.set_flags(row, DELETED)
        self.leaving.append(row)
        for call in self.on_leave:
            call(self.ids[row])

    def set_flags(self, row: int, flags: int) -> None:
        """Set an item's flags, and count the items of the catalogue."""
        stat = self.arrays["stats"][row]
        self.in_catalogue += bool(flags & IN_CATALOGUE) - bool(int(stat["flags"]) & IN_CATALOGUE)
        stat["flags"] = flags

    def count_catalogue(self) -> None:
        """Count the items of the catalogue; the tables have been read."""
        flags = self.arrays["stats"]["flags"][list(self.rows.values())]
        self.in_catalogue = int((flags & IN_CATALOGUE > 0).sum())

    def confirms(self, told: int) -> bool:
        """Whether what a click tells of its item (`BESIDE`, say) confirms it.

        Where there is a catalogue, a second session alone does not: robots click an id that they
        have invented again, but beside others of that kind.
        """
        return told == BESIDE or (told == ALONE and not self.in_catalogue)

    def make_room(self) -> None:
        """Let items leave, so that rows become free before they are needed."""

    @property
    def many_unconfirmed(self) -> bool:
        """Whether unconfirmed items hold so many rows that only they should leave."""
        return False

    def begin_row(self, row: int) -> None:
        """Initialise what a model keeps for a new row."""

    def end_row(self, row: int) -> None:
        """Drop what a model keeps of an item that leaves, outside the tables."""

    def have_left(self) -> None:
        """Note that all items that a sweep is for have left."""

    def set_free(self, rows: list[int]) -> None:
        """Let other items have rows that nothing refers to any more."""
        self.free.extend(rows)

    # ---- what a snapshot keeps

    def kept(self) -> dict[str, Any]:
        """Return what a snapshot keeps besides the tables."""
        return {"ids": self.ids, "leaving": self.leaving, "free": self.free}

    def keep(self, meta: dict[str, Any]) -> None:
        """Take over what `kept` has returned."""
        self.ids = meta["ids"]
        self.leaving, self.free = list(meta["leaving"]), list(meta["free"])
        gone = {*self.leaving, *self.free}
        self.rows = ShardedDict(
            (item, row) for row, item in enumerate(self.ids) if row and row not in gone
        )
        used = list(self.rows.values())
        self.arrays["becomes"][:] = 0
        self.arrays["becomes"][used] = used
        self.count_catalogue()
