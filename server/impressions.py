"""Impressions to Kafka: never waited for, dropped and counted when the queue is full."""

from __future__ import annotations

import threading

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nextclick.topics import IMPRESSIONS, PRODUCER_CONFIG, topic
from server import metrics
from server.settings import ServerSettings


class Impressions:
    """Hands what was answered to a producer of its own."""

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
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="impressions", daemon=True)
        self._thread.start()

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
