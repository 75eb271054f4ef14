"""Impressions to Kafka: never waited for, dropped and counted when the queue is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nextclick.topics import IMPRESSIONS, PRODUCER_CONFIG, event_key, topic
from nextclick.v1.impression_pb2 import Impression
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

    def put(
        self,
        recommendation_id: str,
        session_id: str,
        user_id: str,
        session_version: int,
        appended: Sequence[str],
        item_ids: Sequence[str],
        model_version: int,
    ) -> None:
        """Queue an impression, or drop it.

        A visitor without any session yet is named by ``user_id``, in the record's key.
        """
        value = Impression(
            recommendation_id=recommendation_id,
            session_id=session_id,
            session_version=session_version,
            appended_item_ids=appended,
            item_ids=item_ids,
            model_version=model_version,
            timestamp_ms=int(time.time() * 1000),
        ).SerializeToString()
        try:
            self._producer.produce(
                self._topic, value, event_key(session_id, user_id), on_delivery=_delivered
            )
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
