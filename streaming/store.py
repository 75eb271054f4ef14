"""The session store: consumes `sessions` and maintains the live sessions in Redis.

Redis holds, by session, a hash ``s:<session_id>`` of ``incarnation``, ``version`` and ``record`` (a
`SessionRecord`), and by user a hash ``u:<user_id>`` of ``version`` (the session's last
timestamp) and ``record`` (the id of the current session). The higher incarnation wins, then the
higher version, so records may be read again. The positions in the log are stored in Redis too,
together with the data: a Redis that was wiped has lost them, and is refilled from the beginning of
the log.

Run as ``python -m streaming.store``; on SIGTERM it ends after the current batch.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from confluent_kafka import Consumer, Message, TopicPartition
from google.protobuf.message import DecodeError
from prometheus_client import Counter, Gauge, start_http_server

from nextclick.topics import (
    FETCH_WAIT_MS,
    SESSIONS,
    partitions,
    redis_session_key,
    redis_user_key,
    topic,
)
from nextclick.v1.session_pb2 import SessionRecord
from settings.base import load
from settings.store import StoreSettings

log = logging.getLogger("nextclick.store")

GROUP = "session-store"
"""The store's consumer group, without tenant."""

WRITTEN = Counter("nextclick_store_written_total", "Session records written to Redis")
REDIS_ERRORS = Counter(
    "nextclick_store_redis_errors_total", "Writes to Redis that failed and were retried"
)
REFILLS = Counter("nextclick_store_refills_total", "Refills after Redis had lost its data")
UNREADABLE = Counter("nextclick_store_unreadable_total", "Records that are not a SessionRecord")
LAG = Gauge("nextclick_store_lag_records", "Records of `sessions` not yet in Redis")

MAX_BACKOFF_S = 2.0

# Each hash KEYS[i] becomes (incarnation, version, record) unless it has a higher incarnation, or
# the same and a higher version; no incarnation is 0.
PUT_NEWER = """
for i = 1, #KEYS do
  local life, version, record = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local held = redis.call('HMGET', KEYS[i], 'version', 'incarnation')
  local later = tonumber(life) - tonumber(held[2] or 0)
  if not held[1] or later > 0 or later == 0 and tonumber(held[1]) <= tonumber(version) then
    redis.call('HSET', KEYS[i], 'incarnation', life, 'version', version, 'record', record)
    redis.call('EXPIRE', KEYS[i], ARGV[1])
  end
end
"""


@dataclass
class Batch:
    """The net effect of a slice of the log: the newest entry of each key, and erasures."""

    tenant: str = ""
    entries: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    positions: dict[int, int] = field(default_factory=dict)

    def add(self, partition: int, offset: int, key: bytes, value: bytes | None) -> None:
        """Add a record of `sessions`; a tombstone erases its session."""
        self.positions[partition] = offset + 1
        if value is None:
            name = redis_session_key(key.decode(errors="replace"), self.tenant)
            self.entries.pop(name, None)
            self.erased.add(name)
            return
        try:
            record = SessionRecord.FromString(value)
        except DecodeError:
            UNREADABLE.inc()
            return
        name = redis_session_key(record.session_id, self.tenant)
        self.erased.discard(name)
        self._put(name, record.incarnation, record.version, value)
        if record.user_id:
            user = redis_user_key(record.user_id, self.tenant)
            self._put(user, 0, record.last_timestamp_ms, record.session_id.encode())

    def _put(self, name: str, incarnation: int, version: int, value: bytes) -> None:
        held = self.entries.get(name)
        if held is None or held[:2] <= (incarnation, version):
            self.entries[name] = (incarnation, version, value)


class SessionWriter:
    """Writes batches to Redis, together with the positions in the log after them."""

    def __init__(self, client: redis.Redis, tenant: str, expiry_s: int) -> None:
        self._redis = client
        self._positions_key = f"{tenant}:store" if tenant else "store"
        self._expiry_s = expiry_s
        self._put_newer = client.register_script(PUT_NEWER)
        self._mark = ""

    def positions(self) -> dict[int, int]:
        """Return the positions that Redis holds; none if it was wiped or never filled."""
        held = cast("dict[bytes, bytes]", self._redis.hgetall(self._positions_key))
        mark = held.pop(b"mark", b"").decode()
        self._mark = mark or uuid.uuid4().hex
        return {int(partition): int(offset) for partition, offset in held.items()} if mark else {}

    def write(self, batch: Batch) -> bool:
        """Write a batch in one transaction; return False if Redis had lost its data before that.

        Writing is idempotent: after an error, or a loss of data, write again.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(self._positions_key, "mark")
        names = list(batch.entries)
        if names:
            values = [part for name in names for part in batch.entries[name]]
            self._put_newer(keys=names, args=[self._expiry_s, *values], client=pipe)
        if batch.erased:
            pipe.delete(*batch.erased)
        marks: dict[Any, Any] = {"mark": self._mark, **batch.positions}
        pipe.hset(self._positions_key, mapping=marks)
        before = pipe.execute()[0]
        return before is not None and before.decode() == self._mark

    def begin(self) -> None:
        """Mark the start of a refill from the beginning of the log."""
        self._redis.delete(self._positions_key)
        self._redis.hset(self._positions_key, "mark", self._mark)


class SessionStore:
    """The loop: consume, write, commit."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._sessions = topic(SESSIONS, settings.tenant)
        client = redis.Redis.from_url(settings.redis, socket_timeout=5, socket_connect_timeout=2)
        self._writer = SessionWriter(client, settings.tenant, settings.session_expiry_s)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": topic(GROUP, settings.tenant),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the loop after the current batch."""
        self._stop.set()

    def run(self) -> None:
        """Consume the log until `stop`."""
        self._seek()
        while not self._stop.is_set():
            messages = self._consumer.consume(self._settings.store_batch, timeout=0.05)
            batch = self._batch(messages)
            if batch.positions and not self._write(batch):
                REFILLS.inc()
                log.warning("Redis has lost its data; refilling it from the log")
                self._retried(self._writer.begin)
                self._seek()
            elif batch.positions:
                self._commit(batch)
        self._consumer.close()

    def _seek(self) -> None:
        """Seek to the positions in Redis, or to the beginning if it has none."""
        positions = self._retried(self._writer.positions) or {}
        if not positions:
            self._retried(self._writer.begin)
        assigned = [
            TopicPartition(self._sessions, p, positions.get(p, 0)) for p in partitions(SESSIONS)
        ]
        self._consumer.assign(assigned)

    def _batch(self, messages: Iterable[Message]) -> Batch:
        batch = Batch(self._settings.tenant)
        for message in messages:
            if message.error():
                log.warning("Kafka: %s", message.error())
            else:
                batch.add(
                    cast("int", message.partition()),
                    cast("int", message.offset()),
                    cast("bytes", message.key()) or b"",
                    message.value(),
                )
        return batch

    def _write(self, batch: Batch) -> bool:
        kept = self._retried(lambda: self._writer.write(batch))
        WRITTEN.inc(len(batch.entries))
        return kept is not False

    def _commit(self, batch: Batch) -> None:
        """Commit after the write, so that the lag of the group can be monitored."""
        offsets = [TopicPartition(self._sessions, p, o) for p, o in batch.positions.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)
        lag = 0
        for p, offset in batch.positions.items():
            _, end = self._consumer.get_watermark_offsets(
                TopicPartition(self._sessions, p), cached=True
            )
            lag += max(end - offset, 0)
        LAG.set(lag)

    def _retried(self, call: Any) -> Any:
        """Retry until Redis answers or the store is stopped; nothing is lost meanwhile."""
        backoff = 0.05
        while not self._stop.is_set():
            try:
                return call()
            except redis.RedisError as e:
                REDIS_ERRORS.inc()
                log.warning("Redis: %s; retrying in %.2f s", e, backoff)
                self._stop.wait(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF_S)
        return None


def main() -> None:
    """Run the store until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load(StoreSettings)
    if settings.store_http_port:
        start_http_server(settings.store_http_port, addr="127.0.0.1")
    store = SessionStore(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: store.stop())
    started = time.monotonic()
    store.run()
    log.info("stopped after %.0f s", time.monotonic() - started)


if __name__ == "__main__":
    main()
