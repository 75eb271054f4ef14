"""The ledger of a run: every event sent has exactly one outcome, and the outcomes are counted.

Reads `sessions` and `dead-letters` from their beginnings. A session's newest record says
how many of its events were applied and how many were duplicates; a dead letter is identified by
the topic, partition and offset of the event, so a repetition after a restart counts once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from confluent_kafka import Consumer, TopicPartition

from cli import interrupt
from cli.errors import CommandError
from connections.kafka import client_config
from nextclick.topics import DEAD_LETTERS, SESSIONS, partitions, topic
from nextclick.v1.session_pb2 import SessionRecord
from settings.kafka import KafkaSettings
from settings.kafka_rights import LEDGER


class Ledger:
    """Counts of what has been read so far; `read` reads on.

    Parameters
    ----------
    kafka
        Where it is, and as whom to read.
    tenant
        Prefix of the topics.
    """

    def __init__(self, kafka: KafkaSettings, tenant: str = "") -> None:
        self._sessions = topic(SESSIONS, tenant)
        self._dead_letters = topic(DEAD_LETTERS, tenant)
        self._newest: dict[bytes, tuple[int, int]] = {}
        self._dead: set[tuple[bytes, ...]] = set()
        self._positions: dict[int, int] = {}
        self.applied = 0
        self.duplicates = 0
        self._consumer = Consumer(
            {**client_config(kafka), "group.id": topic(LEDGER, tenant), "fetch.wait.max.ms": 20}
        )
        names = (self._sessions, self._dead_letters)
        self._consumer.assign(
            [TopicPartition(name, p, 0) for name in names for p in partitions(name)]
        )

    @property
    def dead_lettered(self) -> int:
        """Distinct events that ended as dead letters."""
        return len(self._dead)

    @property
    def total(self) -> int:
        """Events that have an outcome."""
        return self.applied + self.duplicates + self.dead_lettered

    @property
    def position(self) -> int:
        """Records of `sessions` read."""
        return sum(self._positions.values())

    def read(self, timeout_s: float = 0.1) -> None:
        """Read what has come, waiting for it if nothing has."""
        for message in self._consumer.consume(2_000, timeout_s):
            if message.error():
                continue
            if message.topic() == self._dead_letters:
                headers = dict(message.headers() or ())
                names = ("topic", "partition", "offset")
                self._dead.add(tuple(cast("bytes", headers[name]) for name in names))
                continue
            self._positions[cast("int", message.partition())] = cast("int", message.offset()) + 1
            if message.value() is None:
                continue  # its session was erased; what had become of its events is known
            record = SessionRecord.FromString(cast("bytes", message.value()))
            key = cast("bytes", message.key())
            applied, duplicates = self._newest.get(key, (0, 0))
            counts = (
                max(applied, record.applied),
                max(duplicates, record.duplicates),
            )
            self._newest[key] = counts
            self.applied += counts[0] - applied
            self.duplicates += counts[1] - duplicates

    def wait(
        self, sent: int, timeout_s: float, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Read until ``sent`` events have an outcome, or none has got one for ``timeout_s``."""
        last, since = self.total, time.monotonic()
        while self.total < sent:
            interrupt.check()
            self.read()
            progress(self.total)
            if self.total != last:
                last, since = self.total, time.monotonic()
            elif time.monotonic() - since > timeout_s:
                return

    def check(self, sent: int) -> int:
        """Return how many of the events sent are lost; `CommandError` for too many outcomes."""
        lost = sent - self.total
        if lost < 0:
            raise CommandError(f"{-lost} more outcomes than events sent: the count is broken")
        return lost

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
