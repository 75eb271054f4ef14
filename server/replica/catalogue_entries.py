"""What the catalogue says of items: of those that have a row, and within limits of others.

The topic `items` has all of it, but is read once: what an item without a row has there must wait
here until the item gets one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from nextclick.codec import Item, decode_item, embedding_width, encode_item
from online_models.engine import Engine
from online_models.memory.sharded_dict import ShardedDict, ShardedQueue
from online_models.sweep import LARGEST_SHARE
from online_models.tables.facts import facts_of
from server import metrics

log = logging.getLogger("nextclick.catalogue")

MOST_BYTES = 16 << 20
"""The most memory of the items that wait for a row, and of those that have left: each some 32,000
items with records of 300 bytes."""

DROPPED_AT_ONCE = 8
"""The most items that one record drops at once, in 20 us; `WaitingItems.over` says if more must go:
a large record takes the room of 280 small ones, which takes 0.65 ms."""

ENTRY_BYTES = 200
"""What a waiting item takes besides its id and record."""

ENTRIES, WAITING, LEFT = "catalogue.jsonl", "items_waiting.jsonl", "items_left.jsonl"
"""Files of a snapshot: entries of items with a row, those that wait for one, those that left."""

FILES = (ENTRIES, WAITING, LEFT)


class WaitingItems:
    """Catalogue records of items without a row, in the order in which they came.

    >>> waiting = WaitingItems(most_bytes=2 * ENTRY_BYTES + 50)
    >>> [waiting.keep(item_id, b"record") for item_id in ("a", "b", "c")]
    [0, 0, 1]
    >>> "a" in waiting, "c" in waiting
    (False, True)
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._records = ShardedQueue[bytes]()

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._records

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._records.items())

    def get(self, item_id: str) -> bytes | None:
        """Return an item's record, None if there is none."""
        return self._records.get(item_id)

    @property
    def over(self) -> bool:
        """Whether they take more memory than they may."""
        return self._bytes > self._most_bytes

    def keep(self, item_id: str, record: bytes) -> int:
        """Keep an item's latest record; return how many older items were dropped for it."""
        self.drop(item_id)
        self._records[item_id] = record
        self._bytes += _size(item_id, record)
        return self.drop_oldest()

    def drop_oldest(self) -> int:
        """Drop some of the oldest items while they are `over`; return how many."""
        dropped = 0
        while self.over and dropped < DROPPED_AT_ONCE:
            oldest = self._records.first()
            assert oldest is not None
            self.drop(oldest)
            dropped += 1
        return dropped

    def first(self) -> tuple[str, bytes] | None:
        """Return the item that was kept longest ago and its record, None if there is none."""
        item_id = self._records.first()
        return None if item_id is None else (item_id, self._records[item_id])

    def drop(self, item_id: str) -> None:
        """Keep an item's record no longer."""
        record = self._records.pop(item_id, None)
        if record is not None:
            self._bytes -= _size(item_id, record)


class CatalogueEntries:
    """Applies catalogue items to the models, and keeps what the catalogue says of them.

    An item that gets no row, since none is free yet, waits until `retry` finds one for it. The
    entry of an item whose row was taken away is kept for its return. Call `drop_oldest` while more
    are kept than there is memory for.

    Parameters
    ----------
    engine
        The models.
    most_bytes
        The most memory of the items that wait for a row, and of those that have left. Beyond it,
        the oldest are dropped until the catalogue has them again.
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._records = ShardedDict[bytes]()
        """Records of the items that have a row."""
        self._widths = Counter[int]()
        """Items that have a row and an embedding, by the numbers of that."""
        self.embedding_width = 0
        """Numbers of an embedding, as most of these items have them; 0: none has one.

        What writes to the topic itself may break the rule that all have as many. So the embedding
        of an item is to be used only if it has these.
        """
        self.waiting = WaitingItems(most_bytes)
        """Items for which no row was free."""
        self.left = WaitingItems(most_bytes)
        """Items whose row was taken away."""
        self.changed = ShardedQueue[None]()
        """Items whose entries nobody has read yet for what they are, if `follow_changes`."""
        self._follows = False
        self._untold = 0
        self._second = 0
        engine.on_leave.append(self._leave)

    def __len__(self) -> int:
        return len(self._records)

    def _set(self, item_id: str, record: bytes) -> None:
        """Keep the record of an item that has a row."""
        self._pop(item_id)
        self._records[item_id] = record
        if width := embedding_width(record):
            self._count_width(width, 1)

    def _pop(self, item_id: str) -> bytes | None:
        """Return the record of an item that had a row, and keep it no longer."""
        record = self._records.pop(item_id, None)
        if record is not None and (width := embedding_width(record)):
            self._count_width(width, -1)
        return record

    def _count_width(self, width: int, items: int) -> None:
        self._widths[width] += items
        if not self._widths[width]:
            del self._widths[width]
        most = self._widths.most_common(1)
        self.embedding_width = most[0][0] if most else 0

    def follow_changes(self) -> None:
        """Note in `changed` which entries change, and now all of them."""
        self._follows = True
        for item_id in self._records:
            self.changed[item_id] = None

    def take_changed(self, at_most: int) -> list[str]:
        """Return the items that changed longest ago, and note them no longer."""
        taken: list[str] = []
        while len(taken) < at_most and (item_id := self.changed.first()) is not None:
            del self.changed[item_id]
            taken.append(item_id)
        return taken

    def get(self, item_id: str) -> Item | None:
        """Return what the catalogue says of an item, None if that is not known; for any thread."""
        record = self._records.get(item_id) or self._kept(item_id)
        return decode_item(record) if record else None

    def _kept(self, item_id: str) -> bytes | None:
        """Return the record of an item that had no row, None if there is none."""
        return self.waiting.get(item_id) or self.left.get(item_id)

    def keeps(self, item_id: str) -> bool:
        """Whether anything is kept of an item that had no row."""
        return item_id in self.left or item_id in self.waiting

    def put(self, item: Item) -> bool:
        """Apply an item; return whether it has a row, otherwise it waits for one."""
        # orjson's bytes take 4 kB, however few they are: a copy takes what it needs.
        record = bytes(memoryview(encode_item(item)))
        if self._apply(item, record):
            return True
        self.left.drop(item.item_id)
        self._refuse(self.waiting.keep(item.item_id, record))
        return False

    def _refuse(self, dropped: int) -> None:
        metrics.ITEMS_REFUSED.inc(dropped)
        self._untold += dropped

    @property
    def over(self) -> bool:
        """Whether more is kept of items without a row than there is memory for."""
        return self.left.over or self.waiting.over

    def drop_oldest(self) -> None:
        """Drop some of the items without a row while they are `over`."""
        metrics.ENTRIES_DROPPED.inc(self.left.drop_oldest())
        self._refuse(self.waiting.drop_oldest())

    def _apply(self, item: Item, record: bytes) -> bool:
        """Apply an item; return False if no row is free for it."""
        if not self._engine.put_item(
            item.item_id,
            item.available,
            item.categories,
            item.attributes,
            item.title,
            item.kind,
            item.numbers,
            item.available_from_ms,
            item.available_until_ms,
        ):
            return False
        self.waiting.drop(item.item_id)
        self.left.drop(item.item_id)
        self._set(item.item_id, record)
        if self._follows:
            self.changed[item.item_id] = None
        return True

    def remove(self, item_id: str) -> None:
        """Note that the catalogue no longer has an item."""
        if self._pop(item_id) is not None and self._follows:
            self.changed[item_id] = None
        self.waiting.drop(item_id)
        self.left.drop(item_id)

    def put_again(self, item_id: str) -> None:
        """Apply what is kept of an item that had no row, if it has one now."""
        record = self._kept(item_id)
        if record and self._engine.row(item_id):
            self._apply(decode_item(record), record)

    def retry(self) -> str:
        """Try to find a row for the item that has waited longest; return its id, "" if in vain."""
        first = self.waiting.first()
        if first is None:
            return ""
        item_id, record = first
        return item_id if self._apply(decode_item(record), record) else ""

    def report(self) -> None:
        """Say in the log which items were dropped, once a second at most; this may block."""
        if self._untold and int(self._clock()) != self._second:
            self._second = int(self._clock())
            untold, self._untold = self._untold, 0
            log.warning(
                "dropped %d catalogue items: more wait for a row than there is memory for. Raise "
                "NEXTCLICK_MAX_ITEMS, and put them again",
                untold,
            )

    def _leave(self, item_id: str) -> None:
        record = self._pop(item_id)
        if record is not None:
            metrics.ENTRIES_DROPPED.inc(self.left.keep(item_id, record))

    # ---- what a snapshot keeps

    def dump(self) -> dict[str, Iterator[bytes]]:
        """Return all records, by name in `FILES`."""
        return {
            ENTRIES: iter(self._records.values()),
            WAITING: (record for _, record in self.waiting),
            LEFT: (record for _, record in self.left),
        }

    def load(self, records: Mapping[str, Iterable[bytes]], more_rows: bool) -> None:
        """Load what `dump` has returned.

        The models may have another number of rows than then: with fewer, items have left; if
        ``more_rows``, those that left last get one, as many as fit without a sweep.
        """
        for name, items in ((LEFT, self.left), (WAITING, self.waiting)):
            for record in records[name]:
                items.keep(decode_item(record).item_id, record)
        for record in records[ENTRIES]:
            item = decode_item(record)
            item_id = item.item_id
            if row := self._engine.row(item_id):
                self._set(item_id, record)
                facts = facts_of(item.categories, item.attributes, item.kind)
                self._engine.facts.put(row, facts, item.numbers)
            else:
                self.left.keep(item_id, record)
        if more_rows:
            for _, record in reversed(list(self.left)):
                if self._engine.spare <= self._engine.limits.max_items // LARGEST_SHARE:
                    break
                self._apply(decode_item(record), record)


def _size(item_id: str, record: bytes) -> int:
    return ENTRY_BYTES + len(item_id) + len(record)
