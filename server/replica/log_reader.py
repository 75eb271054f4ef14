"""Reads the log into a replica, in slices that let waiting requests go first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import MethodType
from typing import cast

import orjson
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from nextclick.codec import DeadLetterReason, InvalidEventError
from nextclick.topics import DEAD_LETTERS, FETCH_WAIT_MS, PATIENT_FETCH_BYTES, partitions, topic
from records.errors import RecordError
from records.limited import check_size
from server import metrics
from server.replica.followed_topics import FOLLOWED, Partition
from server.replica.refused import FAILED, INVALID, TOO_LARGE, Refused
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

log = logging.getLogger("nextclick.log_reader")

POLL = 500
"""Messages in one poll: a few milliseconds of work."""

MEASURE_S = 0.1
"""Pause between two measurements of the lag, once caught up: each costs as much as a click."""

SILENT_US = 5_000_000
"""A broker that has been silent for this long is considered down: it answers ten fetches a second
even without new records."""

RETRY_S = 0.5

REASONS = frozenset(DeadLetterReason)

Place = tuple[str, int]
Apply = Callable[[bytes, bytes | None], None]


class LogReader:
    """One thread that applies `FOLLOWED` to a replica; `start` it once.

    Parameters
    ----------
    replica
        The replica that the log is applied to. Nothing else changes it.
    settings
        Kafka, tenant, and how much of the log to read without a snapshot.
    between_polls
        Called on the reading thread between two polls, while the models do not change.
    pause_clicks
        Called at the same point; while it returns True, no clicks are read.
    """

    def __init__(
        self,
        replica: Replica,
        settings: ServerSettings,
        between_polls: Callable[[], None] = lambda: None,
        pause_clicks: Callable[[], bool] = lambda: False,
    ) -> None:
        self._replica = replica
        self._history = settings.history
        self._between_polls = between_polls
        self._pause_clicks = pause_clicks
        self._paused = False
        self._followed = {topic(followed.name, settings.tenant): followed for followed in FOLLOWED}
        self._apply_record: dict[str, Apply] = {
            name: MethodType(followed.apply, replica) for name, followed in self._followed.items()
        }
        self._clicks = {name for name, followed in self._followed.items() if followed.clicks}
        self._dead_letters = topic(DEAD_LETTERS, settings.tenant)
        self._stop = threading.Event()
        self._behind: dict[Place, int] = {}
        self._arrived_ms = 0
        self._measured = 0.0
        self._thread = threading.Thread(target=self._run, name="log reader", daemon=True)
        patient = replica.role is Role.EMITTER
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": topic("server", settings.tenant),  # assigned, never committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "fetch.min.bytes": PATIENT_FETCH_BYTES if patient else 1,
                "queued.max.messages.kbytes": 32_768,
                "statistics.interval.ms": 500,
                "stats_cb": self._on_statistics,
                "log_level": 2,
            }
        )

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self, timeout_s: float = 60) -> bool:
        """Stop after the current poll; the replica's positions say where.

        Returns whether the thread has ended, so that the replica no longer changes.
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
                log.warning("Kafka: %s; retrying", e.args[0].str())
                self._consumer.poll(0)
                self._stop.wait(RETRY_S)
        while not self._stop.is_set():
            try:
                self._apply(self._poll())
                self._retry_items()
                self._measure()
                self._between_polls()
                self._pause_or_resume()
            except Exception:
                # If reading stopped here, answers would silently become outdated.
                log.exception("reading the log failed; continuing")
                self._stop.wait(RETRY_S)
        self._consumer.close()

    def _assign(self) -> None:
        """Start each partition where its topic's `FollowedTopic.start` says."""
        replica = self._replica
        positions: dict[Place, int] = {}
        whole = replica.whole_log or not replica.positions
        for name, followed in self._followed.items():
            for p in partitions(name):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(name, p), timeout=5)
                history = self._history // len(partitions(name))
                position = replica.positions.get((name, p))
                start = followed.start(Partition(low, high, position, history, replica.role))
                if followed.clicks and start != position:
                    whole = whole and start == low
                positions[name, p] = start
                if start < high:
                    self._behind[name, p] = high
        assigned = [TopicPartition(name, p, start) for (name, p), start in positions.items()]
        assigned += [
            TopicPartition(self._dead_letters, p, OFFSET_END) for p in partitions(DEAD_LETTERS)
        ]
        # Only once all of them are known: a failure before that is retried from scratch.
        replica.positions.update(positions)
        replica.whole_log = whole
        replica.kafka_up = True
        self._consumer.assign(assigned)

    def _pause_or_resume(self) -> None:
        """Pause the reading of clicks, or resume it."""
        pause = self._pause_clicks()
        if pause != self._paused:
            self._paused = pause
            parts = [TopicPartition(name, p) for name in self._clicks for p in partitions(name)]
            (self._consumer.pause if pause else self._consumer.resume)(parts)

    def _poll(self) -> list[Message]:
        """Return the messages that have arrived; waits for the first one only."""
        first = self._consumer.poll(0.02)
        return [first, *self._consumer.consume(POLL, timeout=0)] if first is not None else []

    def _apply(self, messages: list[Message]) -> None:
        done = 0
        while done < len(messages):
            with self._replica.slice() as until:
                while done < len(messages) and time.perf_counter() < until:
                    self._apply_one(messages[done])
                    done += 1
        self._replica.refused.report()

    def _retry_items(self) -> None:
        """Try again to find rows for catalogue items."""
        catalogue = self._replica.catalogue
        if catalogue.waiting:
            with self._replica.slice() as until:
                self._replica.retry_items(until)
        catalogue.report()

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
        # One record that cannot be used must not keep all others from being learned.
        reason = TOO_LARGE
        try:
            check_size(self._followed[place[0]].name, key, value)
            reason = INVALID
            self._apply_record[place[0]](key, value)
            if place[0] in self._clicks:
                self._arrived_ms = message.timestamp()[1]
        except (RecordError, InvalidEventError) as e:
            self._replica.refused.add(Refused(*place, position - 1, reason, str(e)))
        except Exception as e:
            refused = Refused(*place, position - 1, FAILED, repr(e))
            self._replica.refused.add(refused, e)
        self._replica.positions[place] = position
        if position >= self._behind.get(place, position + 1):
            del self._behind[place]

    def _measure(self) -> None:
        """Measure the lag in records and time.

        The replica has caught up once it reaches the ends that the partitions had at the start.
        """
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
        replica.lag_ms = int(delay_ms) if any(lags[name] for name in self._clicks) else 0
        metrics.STALENESS.set(replica.lag_ms / 1000)
        if not replica.caught_up and not self._behind:
            replica.caught_up = True
            log.info(
                "caught up: %d clicks, %d sessions", replica.engine.clicks, len(replica.sessions)
            )
        _show_size(replica)


def _show_size(replica: Replica) -> None:
    """Set the gauges of what a replica holds and has learned."""
    metrics.MODEL_CLICKS.set(replica.engine.clicks)
    for model, scores in replica.engine.prequential_scores.items():
        for metric, score in scores.items():
            metrics.PREQUENTIAL_SCORE.labels(model, metric).set(score)
    metrics.VECTORS.set(replica.engine.with_vectors)
    metrics.SESSIONS.set(len(replica.sessions))
    metrics.ITEMS.set(len(replica.engine.rows))
    metrics.ITEMS_WAITING.set(len(replica.catalogue.waiting))


def _reason(message: Message) -> str:
    """Return the reason of a dead letter, `unknown` if it has none that is known."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    text = (dict(headers).get("reason") or b"").decode(errors="replace")
    return text if text in REASONS else "unknown"
