"""Sends impressions to Kafka: non-blocking, rate-limited, dropped when the queue is full."""

from __future__ import annotations

import threading
import time

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connections.kafka import client_config
from nextclick.topics import IMPRESSIONS, PRODUCER_CONFIG, topic
from server import metrics
from server.priority import without_priority
from settings.server import ServerSettings

BURST_S = 1.0
"""After a pause, as many answers as in this time may be recorded in a burst."""


class Impressions:
    """Sends impressions with a producer of its own.

    At most `impressions_per_s` answers a second are recorded, evenly spaced: the log and the score
    job need not process every answer of a server that gives thousands.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._topic = topic(IMPRESSIONS, settings.tenant)
        with without_priority():
            self._producer = Producer(
                {
                    **client_config(settings),
                    **PRODUCER_CONFIG,
                    "queue.buffering.max.messages": settings.impressions_queue,
                    # Nothing is sent twice: what was on its way when a connection broke is dropped.
                    # An idempotent producer would spin while the broker is slow.
                    "enable.idempotence": False,
                    "message.send.max.retries": 0,
                    "linger.ms": 50,
                    "message.timeout.ms": 30_000,
                    # No callback into Python for each delivered record.
                    "delivery.report.only.error": True,
                }
            )
        self._interval_s = 1 / settings.impressions_per_s
        self._next = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="impressions", daemon=True)
        self._thread.start()

    def due(self) -> bool:
        """Whether the current answer is to be recorded."""
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
        """Flush the impressions that have not been sent, and end."""
        self._producer.flush(2)
        self._stop.set()

    def _poll(self) -> None:
        queue = metrics.PRODUCER_QUEUE.labels("impressions")
        while not self._stop.is_set():
            self._producer.poll(0.5)
            queue.set(len(self._producer))


def _delivered(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        metrics.IMPRESSIONS_DROPPED.inc()
