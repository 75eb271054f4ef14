"""The item table: which items may get a row, and what the catalogue says of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import MAX_CATEGORIES
from online_models.memory.bits import put_bit, put_bits, words
from online_models.memory.layout import Limits
from online_models.memory.table import Arrays, Kept, Table
from online_models.tables import item_lists, item_rows
from online_models.tables.categories import Categories
from online_models.tables.content_tokens import item_tokens
from online_models.tables.facts import Facts, facts_of
from online_models.tables.item_lists import ItemLists
from online_models.tables.item_rows import (
    ALONE,
    BESIDE,
    CLOSED,
    CONFIRMED,
    DELETED,
    IN_CATALOGUE,
    NOT_NOW,
    TIMED,
    UNAVAILABLE,
    ItemRows,
)
from online_models.tables.windows import Windows, seconds_from

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

FIRST_CLICK = np.dtype([("key", "i8"), ("session", "i8")])
DELETED_ID = np.dtype([("key", "i8")])

PENDING = 1 << 18
"""Items without a row of which the first session is remembered, and deleted ones; about, since a
new one takes the place of another."""


def _key(item_id: str) -> int:
    """Return a hash of an id: 63 bits, not 0."""
    return int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest(), "little") >> 1 | 1


def _place(key: int) -> int:
    return key >> 8 & (PENDING - 1)


def _places(ids: NDArray[Any], size: int) -> NDArray[np.int64]:
    return np.asarray(ids["key"] >> 8 & (size - 1), np.int64)


TABLES = (
    Table("items", ITEM, ("rows",), Kept.ROWS),
    *item_rows.TABLES,
    Table("categories", np.int32, ("rows", MAX_CATEGORIES), Kept.ROWS),
    *item_lists.TABLES,
    Table("first_clicks", FIRST_CLICK, (PENDING,), Kept.HASHED, place=_places),
    Table("deleted_ids", DELETED_ID, (PENDING,), Kept.HASHED, place=_places),
    Table("open_rows", np.int64, (2, words)),
)
"""``first_clicks`` and ``deleted_ids`` are hash tables without chaining of ids that have no row;
``open_rows`` has the rows of items that are not deleted, and of these, those that are available
now, as far as flags say."""


class ItemTable(ItemRows):
    """The rows of items, and what clicks and catalogue say of them."""

    def __init__(self, limits: Limits, arrays: Arrays) -> None:
        super().__init__(limits, arrays)
        self.categories = Categories()
        self.lists = ItemLists(arrays)
        self.facts = Facts(words(limits))
        """What conditions find items by. No snapshot of the models keeps it: the catalogue does."""
        self.windows = Windows(arrays)
        self.now_s = 0
        """The time, as somebody with a clock has said last: seconds since 1970; 0: nobody has."""
        self.provisional = 0
        """Items that are not confirmed."""
        self.deleted: OrderedDict[int, None] = OrderedDict()
        """Rows of items that the catalogue has deleted: the first to leave."""

    def note_content(self, row: int, tokens: Sequence[int]) -> None:
        """Update what a model keeps of an item's content."""

    def beside_confirmed(self, session: int) -> bool:
        """Whether a click of a session is beside one on a confirmed item."""
        raise NotImplementedError

    def replace_provisional(self) -> None:
        """Let unconfirmed items leave, since others are waiting for their share of the rows."""

    @property
    def many_unconfirmed(self) -> bool:
        """See `ItemRows.many_unconfirmed`: more than half of their share."""
        return self.provisional > self.limits.provisional_share * self.limits.max_items / 2

    def ensure_row(self, item_id: str) -> int:
        """Return the row of an item, a new one if it has none; 0 if none is free yet."""
        return self.rows.get(item_id) or self.new_row(item_id)

    def begin_row(self, row: int) -> None:
        """See `ItemRows.begin_row`."""
        self.provisional += 1
        self.lists.add(row)
        self._note_open(row)

    def set_flags(self, row: int, flags: int) -> None:
        """See `ItemRows.set_flags`."""
        super().set_flags(row, flags)
        self._note_open(row)

    def _note_open(self, row: int) -> None:
        flags, rows = int(self.arrays["stats"]["flags"][row]), self.arrays["open_rows"]
        put_bit(rows[0], row, flags & DELETED == 0)
        put_bit(rows[1], row, flags & (DELETED | NOT_NOW) == 0)

    def end_row(self, row: int) -> None:
        """See `ItemRows.end_row`."""
        self.lists.remove(row)
        self.provisional -= not self.is_confirmed(row)
        if row in self.deleted:
            del self.deleted[row]
            self._note_deleted(self.ids[row])
        numbers = self.arrays["categories"][row]
        self.categories.release(numbers[numbers > 0].tolist())
        numbers[:] = 0
        self.note_content(row, ())
        self.facts.clear(row)
        self.windows.put(row, 0, 0, 0)

    def put_item(
        self,
        item_id: str,
        available: bool = True,
        categories: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        title: str = "",
        kind: str = "",
        numbers: Mapping[str, float] | None = None,
        from_ms: int = 0,
        until_ms: int = 0,
    ) -> int:
        """Apply an item of the catalogue; return its row, 0 if none is free yet.

        ``from_ms`` and ``until_ms`` are the times from and until which it may be recommended, in
        milliseconds since 1970; 0: ever since, for ever.
        """
        row = self.ensure_row(item_id)
        if row == 0:
            return 0
        stat = self.arrays["stats"][row]
        self.confirm(row)
        self.deleted.pop(row, None)
        self._forget_deleted(item_id)
        flags_before = int(stat["flags"])
        flags = flags_before | IN_CATALOGUE
        flags &= ~(DELETED | UNAVAILABLE | TIMED | CLOSED)
        flags = flags if available else flags | UNAVAILABLE
        if from_ms or until_ms or flags_before & TIMED:
            self.windows.put(row, seconds_from(from_ms), seconds_from(until_ms), self.now_s)
            flags |= TIMED if from_ms or until_ms else 0
            flags |= CLOSED if self.windows.closed(row, self.now_s) else 0
        self.facts.put(row, facts_of(categories, attributes, kind), numbers or {})
        self._set_catalogue(row, flags, self.categories.take(categories[:MAX_CATEGORIES]))
        self.note_content(row, item_tokens(categories, attributes, title))
        return row

    def _set_catalogue(self, row: int, flags: int, taken: list[int]) -> None:
        """Set an item's flags and categories; without a change, it keeps its place in its lists."""
        stat, numbers = self.arrays["stats"][row], self.arrays["categories"][row]
        before = numbers[numbers > 0].tolist()
        moves = taken != before or (flags ^ int(stat["flags"])) & (DELETED | NOT_NOW)
        if moves:
            self.lists.remove(row)
        self.categories.release(before)
        numbers[:] = 0
        numbers[: len(taken)] = taken
        self.set_flags(row, flags)
        if moves:
            self.lists.add(row)

    def pass_time(self, now_s: int, most: int) -> bool:
        """Let items open and close whose time has come; return whether there are more.

        Parameters
        ----------
        now_s
            The time: seconds since 1970.
        most
            Look at so many at most, in some 10 us each.
        """
        self.now_s = now_s
        for _ in range(most):
            if not self.windows.due(now_s):
                return False
            if row := self.windows.next():
                flags = int(self.arrays["stats"]["flags"][row])
                new = flags | CLOSED if self.windows.closed(row, now_s) else flags & ~CLOSED
                if new != flags:
                    self.lists.remove(row)
                    self.set_flags(row, new)
                    self.lists.add(row)
        return self.windows.due(now_s)

    def delete_item(self, item_id: str) -> None:
        """Keep an item out of all answers until it is put into the catalogue again.

        It is the first to leave when rows are needed. An item that has no row gets none, now or for
        clicks.
        """
        row = self.rows.get(item_id, 0)
        if row == 0:
            self._note_deleted(item_id)
            return
        self.confirm(row)
        self.lists.remove(row)
        flags = int(self.arrays["stats"][row]["flags"])
        self.set_flags(row, (flags | DELETED) & ~IN_CATALOGUE)
        self.deleted[row] = None
        self.facts.clear(row)

    def is_deleted(self, row: int) -> bool:
        """Whether the catalogue has deleted the item."""
        return bool(self.arrays["stats"][row]["flags"] & DELETED)

    def is_confirmed(self, row: int) -> bool:
        """Whether the item is in the catalogue, or was clicked in two sessions (`confirms`)."""
        return bool(self.arrays["stats"][row]["flags"] & CONFIRMED)

    def has_clicks(self, row: int) -> bool:
        """Whether the item was ever clicked."""
        return bool(self.arrays["stats"][row]["clicks"] > 0)

    def confirm(self, row: int) -> None:
        """Note that an item is genuine: in the catalogue, or clicked in two sessions."""
        stat = self.arrays["stats"][row]
        if not stat["flags"] & CONFIRMED:
            stat["flags"] = int(stat["flags"]) | CONFIRMED
            self.provisional -= 1

    def admit(self, item_id: str, session: int) -> int:
        """Return a row for a clicked item that has none; 0 if it gets none yet.

        While unconfirmed items hold less than `Limits.provisional_share` of the rows, any clicked
        item gets one at once: on shop data, up to 8 % of the next clicks go to such items. Beyond
        that share, an item gets its row with the click that confirms it, and unconfirmed items make
        room for newer ones. A deleted item gets none.
        """
        key = _key(item_id)
        place = _place(key)
        if self.arrays["deleted_ids"]["key"][place] == key:
            return 0
        if self.provisional < self.limits.provisional_share * self.limits.max_items:
            return self.new_row(item_id)
        self.replace_provisional()
        first = self.arrays["first_clicks"][place]
        again = first["key"] == key and first["session"] != session
        if again and self.confirms(BESIDE if self.beside_confirmed(session) else ALONE):
            row = self.new_row(item_id)
            if row:
                first["key"] = 0
                self.confirm(row)
            return row
        first["key"] = key
        first["session"] = session
        return 0

    def _note_deleted(self, item_id: str) -> None:
        key = _key(item_id)
        self.arrays["deleted_ids"]["key"][_place(key)] = key

    def _forget_deleted(self, item_id: str) -> None:
        key = _key(item_id)
        keys = self.arrays["deleted_ids"]["key"]
        if keys[_place(key)] == key:
            keys[_place(key)] = 0

    # ---- what a snapshot keeps

    def kept(self) -> dict[str, Any]:
        """See `ItemRows.kept`."""
        more = {"provisional": self.provisional, "deleted": self.deleted.keys()}
        return super().kept() | self.categories.kept() | more

    def keep(self, meta: dict[str, Any]) -> None:
        """See `ItemRows.keep`; the tables have been read."""
        super().keep(meta)
        self.provisional = meta["provisional"]
        self.deleted.clear()
        self.deleted.update(dict.fromkeys(meta["deleted"]))
        self.windows.make()
        self._make_open_rows()
        names = meta["categories"]
        items = np.bincount(self.arrays["categories"].reshape(-1), minlength=len(names) + 1)
        self.categories.keep(names, meta["free_categories"], items.tolist())

    def _make_open_rows(self) -> None:
        used = np.array(list(self.rows.values()), np.int32)
        flags = self.arrays["stats"]["flags"][used]
        for rows, none in zip(self.arrays["open_rows"], (DELETED, DELETED | NOT_NOW), strict=True):
            rows[:] = 0
            put_bits(rows, used[flags & none == 0], True)
