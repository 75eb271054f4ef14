"""The item table: which items have a row, what the catalogue says of them, and who may enter."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from nextclick.limits import MAX_CATEGORIES
from online_models.memory.layout import Limits
from online_models.memory.table import Arrays, Kept, Table
from online_models.tables.content_tokens import item_tokens

DELETED, UNAVAILABLE, IN_CATALOGUE, CONFIRMED = 1, 2, 4, 8
"""Flags of an item. Confirmed: in the catalogue, or seen in two sessions."""

ITEM = np.dtype(
    [
        ("pool", "i4"),  # place in the pool of the running answer (sources.pool)
        ("damp", "f4"),  # 1 / sqrt(clicks + 10): damps co-visits with popular items
        ("seq_sum", "f4"),  # sum of sequential weights that left this item (sources.rules)
        ("next_sum", "f4"),  # direct successions that left this item
        ("rules", "i4"),  # first entry of its rules
        ("rules_slab", "i2"),
        ("ring_slab", "i2"),
        ("ring", "i4"),  # first entry of its ring of sessions (sources.session_knn)
        ("sessions", "i4"),  # different sessions that turned to it
    ]
)
"""What a source reads of each item that it names: two items a cache line."""

STAT = np.dtype(
    [
        ("clicks", "f4"),
        ("log_clicks", "f4"),  # log(1 + clicks)
        ("long", "f8"),  # log of popularity with long decay, plus clock / DECAY_LONG
        ("short", "f8"),  # the same with the short decay
        ("last", "i8"),  # clock of its last click
        ("flags", "i4"),
        ("at_long", "i4"),  # place in the list of popular items, plus one
        ("at_short", "i4"),  # place in the list by popularity of late, plus one
        ("spare", "i4", (5,)),
    ]
)
"""What the rankings read of each candidate: a cache line."""

TABLES = (
    Table("items", ITEM, ("rows",), Kept.ROWS),
    Table("stats", STAT, ("rows",), Kept.ROWS),
    Table("categories", np.int32, ("rows", MAX_CATEGORIES), Kept.ROWS),
)

PENDING = 65_536
"""Items without a row whose first session is remembered."""


class ItemTable:
    """Item ids outside, rows inside; row 0 is no item.

    Parameters
    ----------
    limits
        Bounds of the table.
    arrays
        The models' arrays, by field of `State`; flags and categories lie there.
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
        """Do what a model needs for a new row."""

    def note_content(self, row: int, tokens: Sequence[int]) -> None:
        """Do what a model needs with an item's content."""

    def row(self, item_id: str) -> int:
        """Row of an item, 0 if it has none."""
        return self.rows.get(item_id, 0)

    def item_id(self, row: int) -> str:
        """Id of the item in a row."""
        return self.ids[row]

    def ensure_row(self, item_id: str) -> int:
        """Row of an item, given now if it has none; 0 if the table is full."""
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
        """Take over an item of the catalogue; returns its row, 0 if the table is full."""
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
        """Keep an item out of all answers until the catalogue has it again."""
        row = self.ensure_row(item_id)  # a late click may still name one never seen
        if row:
            self.confirm(row)
            stat = self.arrays["stats"][row]
            stat["flags"] = (int(stat["flags"]) | DELETED) & ~IN_CATALOGUE

    def is_deleted(self, row: int) -> bool:
        """Whether the catalogue has deleted the item."""
        return bool(self.arrays["stats"][row]["flags"] & DELETED)

    def has_clicks(self, row: int) -> bool:
        """Whether anybody has turned to the item."""
        return bool(self.arrays["stats"][row]["clicks"] > 0)

    def confirm(self, row: int) -> None:
        """Note that an item is no invention: the catalogue has it, or a second session."""
        stat = self.arrays["stats"][row]
        if not stat["flags"] & CONFIRMED:
            stat["flags"] = int(stat["flags"]) | CONFIRMED
            self.provisional -= 1

    def admit(self, item_id: str, session: int) -> int:
        """Row for a clicked item without one; 0 while it must first prove itself.

        While less than a share of the rows is held by items known from one session only,
        anything clicked gets a row at once: on shop data up to 8 % of the next clicks go
        to such items. Beyond that, the second session that turns to an item admits it.
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
