"""Impressions to Kafka: never waited for, so many a second, dropped when the queue is full."""

from __future__ import annotations

import threading
import time

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nextclick.topics import IMPRESSIONS, PRODUCER_CONFIG, topic
from server import metrics
from settings.server import ServerSettings

BURST_S = 1.0
"""Answers of so long may be recorded at once."""


class Impressions:
    """Hands what was answered to a producer of its own.

    All answers, up to so many a second; of more, so many at even distances. So a server that
    answers thousands does not have the log, and what scores it, take in each.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._topic = topic(IMPRESSIONS, settings.tenant)
        self._producer = Producer(
            {
                **PRODUCER_CONFIG,
                "bootstrap.servers": settings.kafka,
                "queue.buffering.max.messages": settings.impressions_queue,
                "linger.ms": 50,
                "message.timeout.ms": 30_000,
                # No call back into Python for each one that arrives.
                "delivery.report.only.error": True,
                "log_level": 2,
            }
        )
        self._interval_s = 1 / settings.impressions_per_s
        self._next = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="impressions", daemon=True)
        self._thread.start()

    def due(self) -> bool:
        """Whether the answer at hand is to be recorded."""
        now = time.monotonic()
        if self._next > now + BURST_S:
            metrics.IMPRESSIONS_PASSED_OVER.inc()
            return False
        self._next = max(self._next, now) + self._interval_s
        return True

    def put(self, impression: bytes, key: str) -> None:
        """Queue a serialised `Impression`, or drop it."""
        try:
            self._producer.produce(self._topic, impression, key, on_delivery=_delivered)
        except (BufferError, KafkaException):
            metrics.IMPRESSIONS_DROPPED.inc()
        else:
            metrics.IMPRESSIONS.inc()

    def close(self) -> None:
        """Give what waits a moment to go out."""
        self._producer.flush(2)
        self._stop.set()

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.5)


def _delivered(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        metrics.IMPRESSIONS_DROPPED.inc()
