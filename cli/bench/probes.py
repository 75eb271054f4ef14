"""Probes of freshness: clicks, each timed until the first answer that reflects it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from rich.progress import Progress, TaskID

from cli.errors import CommandError
from nextclick import Client, Event, encode_event
from nextclick.topics import DEAD_LETTERS, EVENTS, SESSIONS, partitions

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
    over: Callable[[float], bool],
) -> list[Probe]:
    """Probe about 40 times a second, one in `ROUND` by PutEvents.

    ``over`` is asked after each probe whether it was the last, with the seconds so far. A slow
    stack is given time for one round of probes at least.
    """
    probes: list[Probe] = []
    started = time.monotonic()
    pause = np.random.default_rng(0)
    n = 0
    while not over(time.monotonic() - started) or n < ROUND:
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
        time.sleep(pause.uniform(0.002, 0.012))
    return probes


def after(seconds: float) -> Callable[[float], bool]:
    """Return what is over after so many seconds."""
    return lambda so_far: so_far >= seconds


def shown(
    bar: Progress, task: TaskID, over: Callable[[float], bool], before: float = 0.0
) -> Callable[[float], bool]:
    """Return ``over`` as one that shows the seconds, after those ``before``, in a task."""

    def asked(seconds: float) -> bool:
        bar.update(task, completed=before + seconds)
        return over(seconds)

    return asked


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
