"""The session store: consumes `sessions` and `profiles`, and maintains both in Redis.

What it writes is in `streaming.session_writer`. The positions in the log are stored in Redis, with
the data. A master that has lost writes (it was restored, or failed over) is noticed: the log is
read again from the positions that it has. One that was wiped has none, and is refilled from the
beginning of the log; so is one whose positions are those of a topic that was deleted and made anew.
The others of a cluster get those records again, too, and keep what is newer. Each topic has a loop
of its own, with positions of its own: neither waits for the other.

Run as ``python -m streaming.store``; on SIGTERM it ends after the current batch.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, cast

import redis
from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)

from connections.kafka import client_config
from connections.kafka_admin import Admin, fault
from connections.kafka_faults import fault_of
from connections.redis import masters_of
from listeners.guard import UNGUARDED, Guard, guard_of
from listeners.http_port import BoundedHTTPServer, serve_pages
from listeners.process_info import show_process
from nextclick.topics import FETCH_WAIT_MS, PROFILES, SESSIONS, topic
from settings.kafka_rights import GROUP as KAFKA_GROUP
from settings.kafka_rights import READ, ROLES, TOPIC, Right
from settings.load import load
from settings.log_lines import log_to_stderr
from settings.store import StoreSettings
from streaming.session_batch import Batch, ProfileBatch
from streaming.session_writer import SessionWriter
from streaming.store_metrics import DELAY, REDIS_ERRORS, REFILLS, WRITTEN, show_lag

log = logging.getLogger("nextclick.store")

GROUP = "session-store"
"""The store's consumer group, without tenant."""

MAX_BACKOFF_S = 2.0

CHECK_S = 1.0
"""Pause between two checks of the mark while nothing is written."""

CHECK_TOPIC_S = 10.0
"""Pause between two looks for new partitions, and whether the topic is still the same."""


class TopicDescription(NamedTuple):
    """A topic: its id, which is another one once it was made anew, and its partitions."""

    topic_id: str
    partitions: int


class SessionStore:
    """The loop of a topic: consume, write, commit.

    Parameters
    ----------
    settings
        Those of the store.
    of
        The topic, without tenant: `sessions` or `profiles`.
    """

    def __init__(self, settings: StoreSettings, of: str = SESSIONS) -> None:
        self._settings = settings
        self._of = of
        self._make_batch = {SESSIONS: Batch, PROFILES: ProfileBatch}[of]
        self._read = topic(of, settings.tenant)
        expiry_s = {SESSIONS: settings.session_expiry_s, PROFILES: settings.profile_ttl_s}[of]
        masters = masters_of(settings, timeout_s=5, connect_timeout_s=2)
        self._writer = SessionWriter(masters, settings.tenant, expiry_s, of)
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": topic(GROUP, settings.tenant),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._admin = Admin(settings)
        self._topic = TopicDescription("", 0)
        self._positions: dict[int, int] = {}
        self._stop = threading.Event()
        self._checked = self._topic_checked = 0.0

    def stop(self) -> None:
        """End the loop after the current batch."""
        self._stop.set()

    def run(self) -> None:
        """Consume the topic until `stop`."""
        self._seek()
        while not self._stop.is_set():
            messages = self._consumer.consume(self._settings.store_batch, timeout=0.05)
            batch = self._batch(messages)
            if not (self._write(batch) if batch.positions else self._in_step()):
                REFILLS.inc()
                log.warning("Redis has lost writes; reading the log again from where it stands")
                self._seek()
            elif batch.positions:
                self._commit(batch)
            self._measure()
            if self._topic_has_changed():
                self._seek()
        self._consumer.close()

    def tell_rights(self) -> None:
        """Say in the log which rights at Kafka the store lacks."""
        tenant = self._settings.tenant
        if told := self._retried(lambda: self._admin.shortfall(ROLES["store"], tenant)):
            log.error("Kafka: %s", told)

    def _seek(self) -> None:
        """Seek to the positions in Redis, or to the beginning if it has none."""
        self._topic = self._retried(self._describe) or self._topic
        positions = self._retried(lambda: self._writer.positions(self._topic.topic_id)) or {}
        if not positions:
            self._retried(self._writer.begin)
        self._positions = {p: positions.get(p, 0) for p in range(self._topic.partitions)}
        self._consumer.assign(
            [TopicPartition(self._read, p, offset) for p, offset in self._positions.items()]
        )

    def _describe(self) -> TopicDescription:
        topics = TopicCollection([self._read])
        [future] = self._admin.describe_topics(topics, request_timeout=5).values()
        found = self._admin.wait(future, f"DESCRIBE on the topic {self._read}")
        return TopicDescription(str(found.topic_id), len(found.partitions))

    def _topic_has_changed(self) -> bool:
        """Whether the topic is found to have more partitions, or to be another one."""
        now = time.monotonic()
        if now - self._topic_checked < CHECK_TOPIC_S:
            return False
        self._topic_checked = now
        try:
            changed = self._describe() != self._topic
        except KafkaException as e:
            log.warning("Kafka: %s", fault(e, self._settings).told)
            return False
        if changed:
            log.warning("the topic %s has changed: seeking again", self._read)
        return changed

    def _batch(self, messages: Iterable[Message]) -> Batch:
        batch = self._make_batch(self._settings.tenant)
        for message in messages:
            if error := message.error():
                group = Right(KAFKA_GROUP, topic(GROUP, self._settings.tenant), READ)
                right = Right(TOPIC, self._read, READ) if message.topic() else group
                log.warning("Kafka: %s", fault_of(error, self._settings, right.told).told)
            else:
                batch.add(
                    cast("int", message.partition()),
                    cast("int", message.offset()),
                    cast("bytes", message.key()) or b"",
                    message.value(),
                    message.timestamp()[1],
                )
        return batch

    def _write(self, batch: Batch) -> bool:
        kept = self._retried(lambda: self._writer.write(batch))
        WRITTEN.inc(len(batch.entries))
        if kept and batch.first_ms is not None:
            DELAY.observe(max(time.time() - batch.first_ms / 1000, 0.0))
        return kept is not False

    def _in_step(self) -> bool:
        """Return False if Redis is found to have lost writes; looks once in a while."""
        now = time.monotonic()
        if now - self._checked < CHECK_S:
            return True
        self._checked = now
        return self._retried(self._writer.in_step) is not False

    def _commit(self, batch: Batch) -> None:
        """Commit after the write, so that the lag of the group can be monitored."""
        offsets = [TopicPartition(self._read, p, o) for p, o in batch.positions.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)
        self._positions |= batch.positions

    def _measure(self) -> None:
        """Measure the lag over all partitions, also while Redis is away and nothing is written."""
        lag = 0
        for p, position in self._positions.items():
            part = TopicPartition(self._read, p)
            try:
                low, end = self._consumer.get_watermark_offsets(part, cached=True)
            except KafkaException:
                continue  # nothing has been fetched from it yet
            lag += max(end - max(position, low), 0)
        show_lag(self._of, lag)

    def _retried(self, call: Any) -> Any:
        """Retry until there is an answer or the store is stopped; nothing is lost meanwhile."""
        backoff = 0.05
        while not self._stop.is_set():
            try:
                return call()
            except redis.RedisError as e:
                REDIS_ERRORS.inc()
                log.warning("Redis: %s; NEXTCLICK_REDIS says where; again in %.2f s", e, backoff)
            except KafkaException as e:
                told = fault(e, self._settings).told
                log.warning("Kafka: %s; again in %.2f s", told, backoff)
            self._measure()
            self._stop.wait(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_S)
        return None


def stop(stores: Iterable[SessionStore]) -> None:
    """End the loops after their current batches."""
    for store in stores:
        store.stop()


def run(stores: Sequence[SessionStore]) -> None:
    """Run loops side by side until they are stopped; one that fails ends all of them."""
    with ThreadPoolExecutor(len(stores)) as pool:
        loops = [pool.submit(store.run) for store in stores]
        wait(loops, return_when=FIRST_COMPLETED)
        stop(stores)
    for loop in loops:
        loop.result()


def serve_metrics(host: str, port: int, guard: Guard = UNGUARDED) -> BoundedHTTPServer:
    """Serve the metrics in the background.

    Raises
    ------
    SystemExit
        If that is not possible there.
    """
    return serve_pages(host, port, "NEXTCLICK_STORE_HOST and NEXTCLICK_STORE_HTTP_PORT", {}, guard)


def main() -> None:
    """Run the store until SIGTERM or SIGINT."""
    settings = load(StoreSettings)
    log_to_stderr("store", settings)
    if settings.store_http_port:
        guard = guard_of(settings.tokens_file, settings.tls_certificate_file, settings.tls_key_file)
        serve_metrics(settings.store_host, settings.store_http_port, guard)
    show_process("store", settings.tenant)
    stores = [SessionStore(settings, of) for of in (SESSIONS, PROFILES)]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop(stores))
    started = time.monotonic()
    stores[0].tell_rights()
    run(stores)
    log.info("stopped after %.0f s", time.monotonic() - started)


if __name__ == "__main__":
    main()
