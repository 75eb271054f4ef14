"""Writes to Kafka whose acknowledgement a caller waits for: events, catalogue items, commands."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
    Producer,
)

from connections.kafka import client_config
from connections.kafka_faults import for_callers
from nextclick.topics import PRODUCER_CONFIG
from server import metrics
from server.priority import without_priority
from settings.server import ServerSettings

REPLY_S = 0.1
"""Time reserved for the reply, out of the caller's deadline."""


class Outcome(NamedTuple):
    """What became of a record.

    ``error`` is empty if the broker has acknowledged it. A record that was not acknowledged in time
    may still arrive; sending it again with the same event_id is harmless. ``arrived_ms`` is when it
    arrived, on the broker's clock; 0 if unknown.
    """

    error: str
    arrived_ms: int = 0


class AckedProducer:
    """Produces records and waits until the broker has acknowledged them."""

    def __init__(self, settings: ServerSettings) -> None:
        self._timeout_s = settings.put_timeout_s
        with without_priority():
            self._producer = Producer(
                {
                    **client_config(settings),
                    **PRODUCER_CONFIG,
                    "queue.buffering.max.messages": 100_000,
                    # A caller waits, so do not delay records to collect a batch.
                    "linger.ms": 0,
                    "message.timeout.ms": int(settings.put_timeout_s * 1000),
                }
            )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="acks", daemon=True)
        self._thread.start()

    def put(
        self, topic: str, records: Sequence[tuple[str, bytes]], timeout_s: float | None
    ) -> list[Outcome]:
        """Produce (key, value) records, wait for their acknowledgements, and return what came."""
        outcomes = [Outcome("the broker has not acknowledged it in time")] * len(records)
        waiting = _Countdown(len(records))
        for i, (key, value) in enumerate(records):

            def delivered(error: KafkaError | None, message: Message, i: int = i) -> None:
                if error:
                    outcomes[i] = Outcome(for_callers(error, f"WRITE on the topic {topic}"))
                else:
                    outcomes[i] = Outcome("", _arrived_ms(message))
                waiting.count()

            try:
                self._producer.produce(topic, value, key, on_delivery=delivered)
            except (BufferError, KafkaException) as e:
                outcomes[i] = Outcome(f"not accepted: {e}")
                waiting.count()
        waiting.wait(waiting_time(self._timeout_s, timeout_s))
        return list(outcomes)

    def close(self) -> None:
        """Flush the records that have not been sent, and end."""
        self._producer.flush(2)
        self._stop.set()

    def _poll(self) -> None:
        queue = metrics.PRODUCER_QUEUE.labels("puts")
        while not self._stop.is_set():
            self._producer.poll(0.1)
            queue.set(len(self._producer))


def _arrived_ms(message: Message) -> int:
    kind, time_ms = message.timestamp()
    return time_ms if kind == TIMESTAMP_LOG_APPEND_TIME else 0


def waiting_time(limit_s: float, left_s: float | None) -> float:
    """Return how long to wait for acknowledgements, given the time left until the deadline.

    Not all of it: the reply, which says which events to send again, must arrive in time.
    """
    if left_s is None:
        return limit_s
    return min(limit_s, left_s - min(REPLY_S, left_s / 4))


class _Countdown:
    """Waits for a number of events."""

    def __init__(self, n: int) -> None:
        self._left = n
        self._condition = threading.Condition()

    def count(self) -> None:
        with self._condition:
            self._left -= 1
            if self._left == 0:
                self._condition.notify_all()

    def wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._condition:
            while self._left > 0:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    return
                self._condition.wait(rest)
