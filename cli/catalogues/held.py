"""What the catalogue holds, as its topic has it: for a sync, which writes the difference only."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from array import array
from collections.abc import Iterable, Iterator

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from cli.catalogues.sending import Row
from cli.errors import CommandError
from connections.kafka import client_config
from connections.kafka_admin import Admin, KafkaFaultError
from connections.kafka_faults import fault_of, is_refusal
from nextclick import InvalidEventError, Item, decode_item
from nextclick.topics import ITEMS, topic
from settings.kafka import KafkaSettings
from settings.kafka_rights import CATALOGUE, READ, TOPIC, Right

ANSWER_S, POLL_S, SILENT_S = 10.0, 0.5, 60.0
"""Seconds for an answer of Kafka's, for a poll, and without a record."""

AT_ONCE = 5_000
"""Records of a poll."""

CACHE_KB = 65_536
"""Of the table; what does not fit is in a temporary file."""

Entry = tuple[str, Item | None]
"""An item's id, and what the catalogue says of it: None if it is deleted."""


def read_catalogue(kafka: KafkaSettings, tenant: str = "") -> Iterator[list[Entry]]:
    """Yield what the topic `items` has, from its beginning to its end; the last entry counts.

    Parameters
    ----------
    kafka
        Where it is, and as whom to read.
    tenant
        Whose topic.

    Raises
    ------
    CommandError
        If there is no such topic.
    KafkaFaultError
        If it cannot be read.
    """
    name = topic(ITEMS, tenant)
    held = Admin(kafka, log_level=0).list_topics(name, timeout=ANSWER_S).topics[name]
    if held.error is not None and is_refusal(held.error):
        raise _refused(held.error, kafka, name)
    if held.error is not None or not held.partitions:
        raise CommandError(
            f"Kafka has no topic {name}: `nextclick topics create` creates it; --kafka and "
            "--tenant say which one is meant"
        )
    consumer = Consumer(
        {
            **client_config(kafka),
            "group.id": topic(CATALOGUE, tenant),
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(name, part, OFFSET_BEGINNING) for part in held.partitions])
        unread, heard = set(held.partitions), time.monotonic()
        while unread:
            entries: list[Entry] = []
            messages = consumer.consume(AT_ONCE, timeout=POLL_S)
            heard = time.monotonic() if messages else heard
            if time.monotonic() - heard > SILENT_S:
                raise CommandError(f"Kafka has not sent {name} to its end; try again later")
            for message in messages:
                error = message.error()
                if error is None:
                    entries += _entry(message.key(), message.value())
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise _refused(error, kafka, name)
            yield entries
    finally:
        consumer.close()


def _refused(error: KafkaError, kafka: KafkaSettings, name: str) -> KafkaFaultError:
    return KafkaFaultError(error, fault_of(error, kafka, Right(TOPIC, name, READ).told))


def _entry(key: bytes | None, value: bytes | None) -> list[Entry]:
    """Return what a record says; nothing if servers pass over it, too."""
    if value is None:
        return [((key or b"").decode(errors="replace"), None)]
    try:
        item = decode_item(value)
    except InvalidEventError:
        return []
    return [(item.item_id, None if item.deleted else item)]


class HeldItems:
    """What the catalogue holds, as a table on disk: of millions of items, too.

    Parameters
    ----------
    entries
        What `read_catalogue` yields.

    Examples
    --------
    >>> held = HeldItems([[("a", Item("a")), ("b", Item("b")), ("c", None)]])
    >>> [item.item_id for _, item in held.changed([(1, Item("a")), (2, Item("c"))])]
    ['c']
    >>> held.count, held.missing
    (2, 1)
    >>> [item.item_id for _, item in held.missing_items()]
    ['b']
    """

    def __init__(self, entries: Iterable[list[Entry]]) -> None:
        self._table = sqlite3.connect("")  # a temporary file, which goes with the connection
        self._table.executescript(
            f"PRAGMA cache_size = -{CACHE_KB}; PRAGMA journal_mode = OFF;"
            "CREATE TABLE held (item_id TEXT PRIMARY KEY, digest BLOB, seen INTEGER) WITHOUT ROWID;"
        )
        for some in entries:
            for item_id, item in some:
                if item is None:
                    self._table.execute("DELETE FROM held WHERE item_id = ?", (item_id,))
                else:
                    self._table.execute(
                        "INSERT OR REPLACE INTO held VALUES (?, ?, 0)", (item_id, _digest(item))
                    )
        self.count = self._number("SELECT count(*) FROM held")
        """Items that the catalogue held at first."""

    @property
    def missing(self) -> int:
        """How many of the items were not seen since."""
        return self._number("SELECT count(*) FROM held WHERE NOT seen")

    def changed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of items that the catalogue does not hold like this; all are seen."""
        for line, item in rows:
            digest = _digest(item)
            found = self._table.execute(
                "SELECT digest FROM held WHERE item_id = ?", (item.item_id,)
            ).fetchone()
            self._table.execute(
                "INSERT OR REPLACE INTO held VALUES (?, ?, 1)", (item.item_id, digest)
            )
            if found is None or found[0] != digest:
                yield line, item

    def holds(self, item_id: str) -> bool:
        """Return whether the catalogue holds an item, which is seen by that."""
        seen = self._table.execute("UPDATE held SET seen = 1 WHERE item_id = ?", (item_id,))
        return seen.rowcount > 0

    def missing_items(self) -> Iterator[Row]:
        """Yield the items that were not seen, as deletions without a line."""
        for (item_id,) in self._table.execute("SELECT item_id FROM held WHERE NOT seen"):
            yield 0, Item(item_id, deleted=True)

    def _number(self, query: str) -> int:
        return int(self._table.execute(query).fetchone()[0])


def _digest(item: Item) -> bytes:
    said = [
        item.available,
        item.categories,
        dict(item.attributes),
        item.title,
        item.kind,
        item.description,
        {name: float(number) for name, number in item.numbers.items()},
        item.image_url,
        item.page_url,
        item.available_from_ms,
        item.available_until_ms,
        array("f", item.embedding).tobytes().hex(),
    ]
    return hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
