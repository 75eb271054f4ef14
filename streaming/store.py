"""The session store: consumes `sessions` and maintains the live sessions in Redis.

Redis holds, by session, a hash ``nextclick:s:<session_id>`` of ``incarnation``, ``appended``,
``version`` and ``record`` (a `SessionRecord`), and by user a hash ``nextclick:u:<user_id>`` of
``version`` (the session's last timestamp) and ``record`` (the id of the current session). Within an
incarnation the higher version wins, otherwise the later time of arrival, so records may be read
again (`records.session_life`). A key that is something else is another program's: it is left alone
and counted.

The positions in the log are stored in Redis too, together with the data and with a mark of the last
batch. A Redis whose mark is not that of the store's last batch has lost writes (it was restored, or
failed over): the log is read again from the positions that it has. One that was wiped has none, and
is refilled from the beginning of the log.

Run as ``python -m streaming.store``; on SIGTERM it ends after the current batch.
"""

from __future__ import annotations

import itertools
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
from prometheus_client import Counter, Gauge, start_http_server

from nextclick.topics import (
    FETCH_WAIT_MS,
    SESSIONS,
    partitions,
    redis_session_key,
    redis_store_key,
    redis_user_key,
    topic,
)
from records.errors import RecordError
from records.limited import check_size, decode_session
from records.session_life import Applied
from settings.base import load
from settings.store import StoreSettings

log = logging.getLogger("nextclick.store")

GROUP = "session-store"
"""The store's consumer group, without tenant."""

WRITTEN = Counter("nextclick_store_written_total", "Session records written to Redis")
REDIS_ERRORS = Counter(
    "nextclick_store_redis_errors_total", "Writes to Redis that failed and were retried"
)
REFILLS = Counter(
    "nextclick_store_refills_total", "Times that the log was read again: Redis had lost writes"
)
FOREIGN = Counter(
    "nextclick_store_foreign_keys_total", "Keys left alone: another program's, under our names"
)
UNREADABLE = Counter(
    "nextclick_store_unreadable_total", "Records passed over: unreadable, or beyond a limit"
)
LAG = Gauge("nextclick_store_lag_records", "Records of `sessions` not yet in Redis")

MAX_BACKOFF_S = 2.0

CHECK_S = 1.0
"""Pause between two checks of the mark while nothing is written."""

# Writes a batch if the mark of the one before is in place; returns the number of keys that are not
# ours, -1 if it is not, and the first such key.
# KEYS: the store's own, those of the entries, those to erase.
# ARGV: mark before, mark now, expiry, number of entries, number of positions; partition and offset
# of each position; incarnation, time of arrival (0: none), version and record of each entry.
WRITE = """
local mark = redis.call('HGET', KEYS[1], 'mark')
if mark ~= ARGV[1] and mark ~= ARGV[2] then return {-1, ''} end
local entries, positions = tonumber(ARGV[4]), tonumber(ARGV[5])
local foreign, first = 0, ''
local function held(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return -1, -1, -1 end
  local h = kind == 'hash'
    and redis.call('HMGET', key, 'incarnation', 'appended', 'version', 'record')
  local version = h and h[4] and tonumber(h[3] or '')
  if version then return tonumber(h[1] or 0), tonumber(h[2] or h[1] or 0), version end
  foreign = foreign + 1
  first = key
end
local at = 5 + 2 * positions
for i = 1, entries do
  local key, v = KEYS[1 + i], at + 4 * (i - 1)
  local life, appended, version = held(key)
  local newer = false
  if life == tonumber(ARGV[v + 1]) then
    newer = version <= tonumber(ARGV[v + 3])
  elseif life then
    newer = appended < tonumber(ARGV[v + 2])
  end
  if newer then
    redis.call('HSET', key, 'incarnation', ARGV[v + 1], 'appended', ARGV[v + 2],
      'version', ARGV[v + 3], 'record', ARGV[v + 4])
    redis.call('EXPIRE', key, ARGV[3])
  end
end
for i = 2 + entries, #KEYS do
  if held(KEYS[i]) then redis.call('DEL', KEYS[i]) end
end
for i = 1, positions do
  redis.call('HSET', KEYS[1], ARGV[4 + 2 * i], ARGV[5 + 2 * i])
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2])
return {foreign, first}
"""


@dataclass
class Batch:
    """The net effect of a slice of the log: the newest entry of each key, and erasures."""

    tenant: str = ""
    entries: dict[str, tuple[int, int, int, bytes]] = field(default_factory=dict)
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
            check_size(SESSIONS, key, value)
            record = decode_session(value)
        except RecordError as e:
            UNREADABLE.inc()
            log.warning("passing over the record %d-%d: %s", partition, offset, e)
            return
        name = redis_session_key(record.session_id, self.tenant)
        self.erased.discard(name)
        self._put(name, Applied.after(record), value)
        if record.user_id:
            user = redis_user_key(record.user_id, self.tenant)
            place = Applied(version=record.last_timestamp_ms)
            self._put(user, place, record.session_id.encode())

    def _put(self, name: str, place: Applied, value: bytes) -> None:
        held = self.entries.get(name)
        if held is None or _replaces(place, held):
            self.entries[name] = (place.incarnation, place.appended_ms, place.version, value)


def _replaces(place: Applied, held: tuple[int, int, int, bytes]) -> bool:
    """Whether an entry is at least as new as another one; `WRITE` compares in the same way."""
    incarnation, appended_ms, version, _ = held
    if place.incarnation == incarnation:
        return version <= place.version
    return appended_ms < place.appended_ms


class SessionWriter:
    """Writes batches to Redis, together with the positions in the log after them."""

    def __init__(self, client: redis.Redis, tenant: str, expiry_s: int) -> None:
        self._redis = client
        self._key = redis_store_key(tenant)
        self._expiry_s = expiry_s
        self._write = client.register_script(WRITE)
        self._marks = (f"{uuid.uuid4().hex}-{n}" for n in itertools.count())
        self._mark, self._next = "", next(self._marks)

    def positions(self) -> dict[int, int]:
        """Return the positions that Redis holds; none if it was wiped or never filled."""
        held = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        self._mark = held.pop(b"mark", b"").decode()
        if not self._mark:
            return {}
        return {int(partition): int(offset) for partition, offset in held.items()}

    def write(self, batch: Batch) -> bool:
        """Write a batch as one; return False, without writing, if Redis has lost writes before it.

        Writing is idempotent: after an error, write again; after a loss, begin at `positions`.
        """
        places = [part for position in batch.positions.items() for part in position]
        values = [part for entry in batch.entries.values() for part in entry]
        counts = [self._expiry_s, len(batch.entries), len(batch.positions)]
        foreign, first = cast(
            "tuple[int, bytes]",
            self._write(
                keys=[self._key, *batch.entries, *batch.erased],
                args=[self._mark, self._next, *counts, *places, *values],
            ),
        )
        if foreign < 0:
            return False
        if foreign:
            FOREIGN.inc(foreign)
            log.warning("left alone %d keys that are not ours, the last one %r", foreign, first)
        self._mark, self._next = self._next, next(self._marks)
        return True

    def in_step(self) -> bool:
        """Return whether Redis holds the last batch that was written."""
        held = cast("bytes | None", self._redis.hget(self._key, "mark"))
        return held is not None and held.decode() == self._mark

    def begin(self) -> None:
        """Mark the start of a refill from the beginning of the log."""
        self._mark, self._next = self._next, next(self._marks)
        self._redis.delete(self._key)
        self._redis.hset(self._key, "mark", self._mark)


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
        self._checked = 0.0

    def stop(self) -> None:
        """End the loop after the current batch."""
        self._stop.set()

    def run(self) -> None:
        """Consume the log until `stop`."""
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

    def _in_step(self) -> bool:
        """Return False if Redis is found to have lost writes; looks once in a while."""
        now = time.monotonic()
        if now - self._checked < CHECK_S:
            return True
        self._checked = now
        return self._retried(self._writer.in_step) is not False

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
