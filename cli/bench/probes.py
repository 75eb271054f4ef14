"""Probes of freshness: clicks, each timed until the first answer that reflects it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from cli.errors import CommandError
from cli.stack.stack import Stack
from connections.kafka import client_config
from nextclick import Client, Event, encode_event
from nextclick.topics import DEAD_LETTERS, EVENTS, PRODUCER_CONFIG, SESSIONS, partitions

ROUND = 5
"""One in so many probes goes by PutEvents."""

LIMIT_S = 300.0
"""For a click to be reflected in an answer, and for the stack to catch up after the warm-up: the
JVMs fall behind at first, until their code is compiled."""


FINEST_S = 0.0005
"""Between two questions whether an answer reflects a click; 1 % of the wait if that is longer."""


@dataclass
class Probe:
    """A click whose way to an answer is timed.

    Attributes
    ----------
    session_id, version
        The click: the session's version with it.
    put
        Whether it was sent by PutEvents, else to Kafka.
    sent_ms
        When it was sent, in milliseconds since 1970.
    ms
        Milliseconds until an answer reflected it.
    appended_ms
        When the broker appended it, in milliseconds since 1970; 0 if unknown.
    """

    session_id: str
    version: int
    put: bool
    sent_ms: float
    ms: float = 0.0
    appended_ms: float = 0.0


def probe_until(
    producer: Producer,
    client: Client,
    name: str,
    seconds: float,
    tick: Callable[[int], None],
) -> list[Probe]:
    """Probe for ``seconds``, about 40 times a second, one in `ROUND` by PutEvents.

    A slow stack is given time for one round of probes at least.
    """
    probes: list[Probe] = []
    started = time.monotonic()
    pause = np.random.default_rng(0)
    n = 0
    while (elapsed := time.monotonic() - started) < seconds or n < ROUND:
        # Ten clicks a session, as in ordinary ones.
        session_id, version = f"{name}{n // 10}", n % 10 + 1
        n += 1
        probe = Probe(session_id, version, n % ROUND == 0, time.time() * 1_000)
        event = Event("view", f"item{n % 97}", int(probe.sent_ms), session_id=session_id)
        t = time.perf_counter()
        if probe.put:
            client.put_events([event])
        else:
            producer.produce(EVENTS, encode_event(event), session_id, on_delivery=noting(probe))
            producer.poll(0)
        while client.recommend(session_id).session_version < version:
            waited = time.perf_counter() - t
            if waited > LIMIT_S:
                raise CommandError(f"no answer reflects a click after {LIMIT_S:.0f} s")
            # Asking costs what is measured processor time: no more often than the figure needs.
            time.sleep(max(FINEST_S, waited / 100))
        probe.ms = (time.perf_counter() - t) * 1_000
        probes.append(probe)
        tick(int(elapsed))
        time.sleep(pause.uniform(0.002, 0.012))
    return probes


class SteadyProbes:
    """Probes at a steady rate, from a thread, while it is entered; each has a session of its own.

    Unlike `probe_until` it does not wait for an answer before it sends the next one, so a stack
    that falls behind has no fewer probes while it is behind. At the end it waits for those that are
    on their way.

    Parameters
    ----------
    stack
        The stack.
    rate
        Probes a second.
    limit_s
        For a click to be reflected in an answer.
    """

    def __init__(self, stack: Stack, rate: float, limit_s: float) -> None:
        self._stack = stack
        self._rate = rate
        self._limit_s = limit_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._pending: dict[str, float] = {}
        self.times_ms: list[float] = []
        """Milliseconds of each probe that an answer reflects."""

    def __enter__(self) -> SteadyProbes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def lost(self) -> int:
        """How many no answer reflects."""
        return len(self._pending)

    def _run(self) -> None:
        kafka = client_config(self._stack.kafka_settings)
        producer = Producer({**kafka, **PRODUCER_CONFIG, "linger.ms": 0})
        started, sent = time.monotonic(), 0
        with Client(self._stack.target, timeout_s=LIMIT_S) as client:
            while (more := not self._ended.is_set()) or self._pending:
                now = time.monotonic()
                if more and sent <= self._rate * (now - started):
                    self._send(producer, f"steady{sent}")
                    sent += 1
                for session_id, at_s in list(self._pending.items()):
                    if client.recommend(session_id).session_version:
                        self.times_ms.append((time.monotonic() - at_s) * 1_000)
                        del self._pending[session_id]
                waited = now - min(self._pending.values(), default=now)
                if waited > self._limit_s:
                    return
                time.sleep(max(FINEST_S, min(waited / 100, 1 / self._rate)))

    def _send(self, producer: Producer, session_id: str) -> None:
        event = Event("view", "item", int(time.time() * 1_000), session_id=session_id)
        producer.produce(EVENTS, encode_event(event), session_id)
        producer.poll(0)
        self._pending[session_id] = time.monotonic()


def noting(probe: Probe) -> Callable[[KafkaError | None, Message], None]:
    """Return a delivery callback that notes when the broker appended a probe's click."""

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            probe.appended_ms = message.timestamp()[1]

    return delivered


def ends(consumer: Consumer, topic: str) -> list[int]:
    """Return the end offset of each partition."""
    parts = (TopicPartition(topic, p) for p in partitions(topic))
    return [int(consumer.get_watermark_offsets(part, timeout=LIMIT_S)[1]) for part in parts]


def backlog(consumer: Consumer) -> int:
    """Return the events that have no outcome yet: each leads to exactly one record."""
    consumer.list_topics(timeout=LIMIT_S)
    events, sessions, dead = (sum(ends(consumer, t)) for t in (EVENTS, SESSIONS, DEAD_LETTERS))
    return max(events - sessions - dead, 0)
