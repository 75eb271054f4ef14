"""The item table: which items have a row, which may get one, and what the catalogue says."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from nextclick.limits import MAX_CATEGORIES
from online_models.memory.layout import Limits
from online_models.memory.table import Arrays, Kept, Table
from online_models.tables.content_tokens import item_tokens

DELETED, UNAVAILABLE, IN_CATALOGUE, CONFIRMED = 1, 2, 4, 8
"""Flags of an item. Confirmed: in the catalogue, or clicked in two sessions."""

ITEM = np.dtype(
    [
        ("pool", "i4"),  # place in the pool of the current answer (sources.pool)
        ("damp", "f4"),  # 1 / sqrt(clicks + 10): damps co-visits with popular items
        ("seq_sum", "f4"),  # sum of the sequential weights of its rules (sources.rules)
        ("next_sum", "f4"),  # number of its direct successors
        ("rules", "i4"),  # first entry of its rules
        ("rules_slab", "i2"),
        ("ring_slab", "i2"),
        ("ring", "i4"),  # first entry of its ring of sessions (sources.session_knn)
        ("sessions", "i4"),  # different sessions that clicked it
    ]
)
"""What sources read of every item that they find: two items per cache line."""

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
        ("spare", "i4", (5,)),
    ]
)
"""What blend and ranker read of every candidate: one cache line per item."""

TABLES = (
    Table("items", ITEM, ("rows",), Kept.ROWS),
    Table("stats", STAT, ("rows",), Kept.ROWS),
    Table("categories", np.int32, ("rows", MAX_CATEGORIES), Kept.ROWS),
)

PENDING = 65_536
"""The most items without a row whose first session is remembered."""


class ItemTable:
    """Maps item ids to rows; row 0 means "no item".

    Parameters
    ----------
    limits
        Bounds of the table.
    arrays
        The models' arrays, by field of `State`; flags and categories are among them.
    """

    def __init__(self, limits: Limits, arrays: Arrays) -> None:
        self.limits = limits
        self.arrays = arrays
        self.ids: list[str] = [""]
        self.rows: dict[str, int] = {}
        self.category_numbers: dict[str, int] = {}
        self.provisional = 0
        self._pending: OrderedDict[str, int] = OrderedDict()

    def begin_row(self, row: int) -> None:
        """Initialise what a model keeps for a new row."""

    def note_content(self, row: int, tokens: Sequence[int]) -> None:
        """Update what a model keeps of an item's content."""

    def row(self, item_id: str) -> int:
        """Return the row of an item, 0 if it has none."""
        return self.rows.get(item_id, 0)

    def item_id(self, row: int) -> str:
        """Return the id of the item in a row."""
        return self.ids[row]

    def ensure_row(self, item_id: str) -> int:
        """Return the row of an item, a new one if it has none; 0 if the table is full."""
        row = self.rows.get(item_id)
        if row is None:
            row = len(self.ids)
            if row > self.limits.max_items:
                return 0
            self.rows[item_id] = row
            self.ids.append(item_id)
            self.arrays["counters"]["rows"][0] = row
            self.provisional += 1
            self.begin_row(row)
        return row

    def put_item(
        self,
        item_id: str,
        available: bool = True,
        categories: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        title: str = "",
    ) -> int:
        """Apply an item of the catalogue; return its row, 0 if the table is full."""
        row = self.ensure_row(item_id)
        if row == 0:
            return 0
        stat = self.arrays["stats"][row]
        self.confirm(row)
        flags = int(stat["flags"]) | IN_CATALOGUE
        flags &= ~(DELETED | UNAVAILABLE)
        stat["flags"] = flags if available else flags | UNAVAILABLE
        numbers = self.arrays["categories"][row]
        numbers[:] = 0
        for i, name in enumerate(categories[:MAX_CATEGORIES]):
            numbers[i] = self.category_numbers.setdefault(name, len(self.category_numbers) + 1)
        self.note_content(row, item_tokens(categories, attributes, title))
        return row

    def delete_item(self, item_id: str) -> None:
        """Keep an item out of all answers until it is put into the catalogue again."""
        row = self.ensure_row(item_id)  # one that has no row yet may still be clicked later
        if row:
            self.confirm(row)
            stat = self.arrays["stats"][row]
            stat["flags"] = (int(stat["flags"]) | DELETED) & ~IN_CATALOGUE

    def is_deleted(self, row: int) -> bool:
        """Whether the catalogue has deleted the item."""
        return bool(self.arrays["stats"][row]["flags"] & DELETED)

    def has_clicks(self, row: int) -> bool:
        """Whether the item was ever clicked."""
        return bool(self.arrays["stats"][row]["clicks"] > 0)

    def confirm(self, row: int) -> None:
        """Note that an item is genuine: in the catalogue, or clicked in a second session."""
        stat = self.arrays["stats"][row]
        if not stat["flags"] & CONFIRMED:
            stat["flags"] = int(stat["flags"]) | CONFIRMED
            self.provisional -= 1

    def admit(self, item_id: str, session: int) -> int:
        """Return a row for a clicked item that has none; 0 if it gets none yet.

        While unconfirmed items hold less than `Limits.provisional_share` of the rows, any clicked
        item gets one at once: on shop data, up to 8 % of the next clicks go to such items. Beyond
        that share, an item gets its row when a second session clicks it.
        """
        if self.provisional < self.limits.provisional_share * self.limits.max_items:
            return self.ensure_row(item_id)
        first = self._pending.get(item_id)
        if first is not None and first != session:
            del self._pending[item_id]
            return self.ensure_row(item_id)
        if first is None:
            self._pending[item_id] = session
            if len(self._pending) > PENDING:
                self._pending.popitem(last=False)
        return 0
