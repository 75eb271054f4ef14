"""Follows `sessions` and `items` into a replica, in slices that no request waits for."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nextclick.topics import DEAD_LETTERS, ITEMS, PARTITIONS, SESSIONS, topic
from server import metrics
from server.replica import Replica
from server.settings import ServerSettings

log = logging.getLogger("nextclick.follower")

SLICE_S = 0.0005
"""Longest hold of the replica for a slice of the log."""

POLL = 500
"""Messages a poll: a few milliseconds of work."""

CATCHING_UP_MS = 10_000
"""A replica that is further behind says so in its answers."""


class Follower:
    """One thread that applies the log; `start` it once."""

    def __init__(self, replica: Replica, settings: ServerSettings) -> None:
        self._replica = replica
        self._settings = settings
        self._sessions = topic(SESSIONS, settings.tenant)
        self._items = topic(ITEMS, settings.tenant)
        self._dead_letters = topic(DEAD_LETTERS, settings.tenant)
        self._stop = threading.Event()
        self._behind: set[tuple[str, int]] = set()
        self._arrived_ms = 0
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": topic("server", settings.tenant),  # assigned, never committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": 32_768,
                "statistics.interval.ms": 500,
                "stats_cb": self._on_statistics,
                "log_level": 2,
            }
        )

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End after the slice at hand; the replica's positions say where."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _on_statistics(self, statistics: str) -> None:
        brokers = json.loads(statistics)["brokers"].values()
        self._replica.kafka_up = any(b["state"] == "UP" for b in brokers)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._assign()
                break
            except KafkaException as e:
                self._replica.kafka_up = False
                log.warning("Kafka: %s; trying again", e.args[0].str())
                self._consumer.poll(0)
                self._stop.wait(0.5)
        while not self._stop.is_set():
            messages = self._consumer.consume(POLL, timeout=0.02)
            self._apply(messages)
            self._measure()
        self._consumer.close()

    def _assign(self) -> None:
        """Go on from the snapshot's positions, else at most `history` records from the end."""
        assigned = []
        whole = self._replica.whole_log or not self._replica.positions
        for name in (self._items, self._sessions):
            for p in range(PARTITIONS):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(name, p), timeout=5)
                start = self._replica.positions.get((name, p))
                if start is None or not low <= start <= high:
                    # No snapshot, or one whose log is gone.
                    kept = self._settings.history // PARTITIONS
                    start = low if name == self._items else max(low, high - kept)
                    whole = whole and start == low
                assigned.append(TopicPartition(name, p, start))
                self._behind.add((name, p))
        assigned += [TopicPartition(self._dead_letters, p, -1) for p in range(PARTITIONS)]
        self._replica.whole_log = whole
        self._replica.kafka_up = True
        self._consumer.assign(assigned)

    def _apply(self, messages: list[Message]) -> None:
        done = 0
        while done < len(messages):
            until = time.perf_counter() + SLICE_S
            with self._replica.slice():
                while done < len(messages) and time.perf_counter() < until:
                    self._apply_one(messages[done])
                    done += 1

    def _apply_one(self, message: Message) -> None:
        place = (cast("str", message.topic()), cast("int", message.partition()))
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._behind.discard(place)
            else:
                log.warning("Kafka: %s", error.str())
            return
        key, value = cast("bytes", message.key()) or b"", message.value()
        if place[0] == self._sessions:
            self._replica.apply_session(key, value)
        elif place[0] == self._items:
            self._replica.apply_item(key, value)
        else:
            headers: dict[str, Any] = dict(message.headers() or ())
            metrics.DEAD_LETTERS.labels(headers.get("reason", b"unknown").decode()).inc()
            return
        self._replica.positions[place] = cast("int", message.offset()) + 1
        if place[0] == self._sessions:
            self._arrived_ms = message.timestamp()[1]

    def _measure(self) -> None:
        """Lag in records and time; caught up once the end of every partition was seen."""
        replica = self._replica
        lags = {self._sessions: 0, self._items: 0}
        for (name, p), position in replica.positions.items():
            try:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(name, p), cached=True)
            except KafkaException:
                continue
            if name in lags:
                lags[name] += max(end - position, 0)
        for name, lag in lags.items():
            metrics.LAG.labels(name).set(lag)
        replica.lag_records = sum(lags.values())
        now_ms = time.time() * 1000
        delay_ms = max(now_ms - self._arrived_ms, 0) if self._arrived_ms else 0
        replica.lag_ms = int(delay_ms) if lags[self._sessions] else 0
        metrics.STALENESS.set(replica.lag_ms / 1000)
        if not replica.caught_up and not self._behind:
            replica.caught_up = True
            log.info(
                "caught up: %d clicks, %d sessions", replica.engine.clicks, len(replica.sessions)
            )
        metrics.MODEL_CLICKS.set(replica.engine.clicks)
        metrics.SESSIONS.set(len(replica.sessions))
        metrics.ITEMS.set(len(replica.engine.ids) - 1)
