"""Follows the log into a replica, in slices that no request waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import cast

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nextclick.codec import DeadLetterReason
from nextclick.topics import (
    DEAD_LETTERS,
    FETCH_WAIT_MS,
    ITEMS,
    PARTITIONS,
    PATIENT_FETCH_BYTES,
    RANKER,
    SCOREBOARD,
    SESSIONS,
    VECTORS,
    topic,
)
from server import metrics
from server.replica.replica import Replica
from settings.server import ServerSettings

log = logging.getLogger("nextclick.follower")

RECENT_SCORES = 50
"""Records of a partition of `scoreboard` that are read at the start."""

POLL = 500
"""Messages a poll: a few milliseconds of work."""

MEASURE_S = 0.1
"""Between two looks at the lag, once caught up: one takes as long as it takes to learn a click."""

SILENT_US = 5_000_000
"""A broker that has said nothing for so long is away: it answers 100 fetches a second."""

CATCHING_UP_MS = 10_000
"""A replica that is further behind says so in its answers."""

REASONS = frozenset(DeadLetterReason)

Place = tuple[str, int]
Apply = Callable[[bytes, bytes | None], None]


class Follower:
    """One thread that applies the log; `start` it once.

    Parameters
    ----------
    replica
        What the log is applied to. Nobody else changes it.
    settings
        Kafka, tenant and how far back to read.
    between
        Called on the follower's thread between two polls, when the models stand still.
    wait
        Called likewise; while it says so, `sessions` is not read.
    """

    def __init__(
        self,
        replica: Replica,
        settings: ServerSettings,
        between: Callable[[], None] = lambda: None,
        wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._replica = replica
        self._settings = settings
        self._between = between
        self._wait = wait
        self._waits = False
        self._sessions = topic(SESSIONS, settings.tenant)
        self._ranker = topic(RANKER, settings.tenant)
        self._vectors = topic(VECTORS, settings.tenant)
        self._scoreboard = topic(SCOREBOARD, settings.tenant)
        self._followed: dict[str, Apply] = {
            topic(ITEMS, settings.tenant): replica.apply_item,
            self._ranker: replica.apply_learner,
            self._vectors: replica.apply_vectors,
            self._scoreboard: replica.apply_score,
            self._sessions: replica.apply_session,
        }
        self._dead_letters = topic(DEAD_LETTERS, settings.tenant)
        self._stop = threading.Event()
        self._behind: dict[Place, int] = {}
        self._arrived_ms = 0
        self._measured = 0.0
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": topic("server", settings.tenant),  # assigned, never committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "fetch.min.bytes": PATIENT_FETCH_BYTES if settings.emit_examples else 1,
                "queued.max.messages.kbytes": 32_768,
                "statistics.interval.ms": 500,
                "stats_cb": self._on_statistics,
                "log_level": 2,
            }
        )

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout_s: float = 60) -> bool:
        """End after the poll at hand; the replica's positions say where.

        Returns whether it has ended, so that the replica stands still.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _on_statistics(self, statistics: str) -> None:
        brokers = orjson.loads(statistics)["brokers"].values()
        self._replica.kafka_up = any(
            b["state"] == "UP" and b["rxidle"] < SILENT_US for b in brokers
        )

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
            try:
                self._apply(self._poll())
                self._measure()
                self._between()
                self._pace()
            except Exception:
                # A replica that follows no more would answer ever older things, unnoticed.
                log.exception("following goes on")
                self._stop.wait(0.5)
        self._consumer.close()

    def _assign(self) -> None:
        """Go on from the snapshot's positions, else at most `history` records from the end."""
        assigned = []
        whole = self._replica.whole_log or not self._replica.positions
        for name in self._followed:
            for p in range(PARTITIONS):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(name, p), timeout=5)
                # Compacted, and in no snapshot: where the learners stand, and vectors that wait.
                held = name == self._vectors and self._replica.held is not None
                known = name != self._ranker and not held
                if name == self._scoreboard:
                    low = max(low, high - RECENT_SCORES)  # each replaces those before it
                start = self._replica.positions.get((name, p)) if known else None
                if start is None or not low <= start <= high:
                    # No snapshot, or one whose log is gone.
                    kept = self._settings.history // PARTITIONS
                    start = max(low, high - kept) if name == self._sessions else low
                    whole = whole and start == low
                assigned.append(TopicPartition(name, p, start))
                self._replica.positions[name, p] = start
                if start < high:
                    self._behind[name, p] = high
        assigned += [TopicPartition(self._dead_letters, p, -1) for p in range(PARTITIONS)]
        self._replica.whole_log = whole
        self._replica.kafka_up = True
        self._consumer.assign(assigned)

    def _pace(self) -> None:
        """Stop to read `sessions`, or begin again."""
        waits = self._wait()
        if waits != self._waits:
            self._waits = waits
            parts = [TopicPartition(self._sessions, p) for p in range(PARTITIONS)]
            (self._consumer.pause if waits else self._consumer.resume)(parts)

    def _poll(self) -> list[Message]:
        """Return what has come; waits for the first message only, not for company."""
        first = self._consumer.poll(0.02)
        return [first, *self._consumer.consume(POLL, timeout=0)] if first is not None else []

    def _apply(self, messages: list[Message]) -> None:
        done = 0
        while done < len(messages):
            with self._replica.slice() as until:
                while done < len(messages) and time.perf_counter() < until:
                    self._apply_one(messages[done])
                    done += 1

    def _apply_one(self, message: Message) -> None:
        place = (cast("str", message.topic()), cast("int", message.partition()))
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._behind.pop(place, None)
            else:
                log.warning("Kafka: %s", error.str())
            return
        if place[0] == self._dead_letters:
            metrics.DEAD_LETTERS.labels(_reason(message)).inc()
            return
        key, value = cast("bytes", message.key()) or b"", message.value()
        position = cast("int", message.offset()) + 1
        try:
            self._followed[place[0]](key, value)
            if place[0] == self._sessions:
                self._arrived_ms = message.timestamp()[1]
        except Exception:
            # One record that nobody foresaw must not end the learning from all others.
            log.exception("passing over %s-%d at %d", place[0], place[1], position - 1)
            metrics.UNREADABLE.labels(place[0]).inc()
        self._replica.positions[place] = position
        if position >= self._behind.get(place, position + 1):
            del self._behind[place]

    def _measure(self) -> None:
        """Lag in records and time; caught up at where every partition ended at the start."""
        replica = self._replica
        now = time.monotonic()
        if replica.caught_up and now - self._measured < MEASURE_S:
            return
        self._measured = now
        lags = dict.fromkeys(self._followed, 0)
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
        for model, scores in replica.engine.live_scores.items():
            for metric, score in scores.items():
                metrics.LIVE_SCORE.labels(model, metric).set(score)
        metrics.VECTORS.set(replica.engine.with_vectors)
        metrics.SESSIONS.set(len(replica.sessions))
        metrics.ITEMS.set(len(replica.engine.ids) - 1)


def _reason(message: Message) -> str:
    """Return the reason of a dead letter; anything else that lies there is `unknown`."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    text = (dict(headers).get("reason") or b"").decode(errors="replace")
    return text if text in REASONS else "unknown"
