"""Sends a history of clicks to Kafka, marked as a replay, as fast as Kafka takes them."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, Producer

from cli import interrupt
from cli.errors import CommandError
from connections.kafka import client_config
from connections.kafka_faults import for_callers
from evaluation.datasets import Session, clicks_in_order
from nextclick import Event, encode_event
from nextclick.limits import MAX_EVENT_IDS, MAX_ID_BYTES
from nextclick.topics import EVENTS, PRODUCER_CONFIG, REPLAY_HEADER, topic
from settings.kafka import KafkaSettings

TICK = 1_000

ACKNOWLEDGED_EVERY = 5_000
"""Clicks after which an import waits for the broker, and notes how far it is; it does so earlier
where a session has `MAX_EVENT_IDS` clicks among them: of more, the job would know no repetition."""


def send_history(
    kafka: KafkaSettings,
    sessions: Sequence[Session],
    *,
    prefix: str = "",
    tenant: str = "",
    first: int = 0,
    last: int | None = None,
    rate: float | None = None,
    tick: Callable[[int], None] = lambda _: None,
    acknowledged: Callable[[int], None] | None = None,
) -> int:
    """Produce clicks in the order of their clock.

    Without a clock the clicks of a session are a second apart.

    Parameters
    ----------
    kafka
        Where it is, and as whom to write.
    sessions
        The history.
    prefix
        Put before the session ids.
    tenant
        Prefix of the topic.
    first
        Leave out this many clicks, the first ones.
    last
        Send only this many clicks, the last ones.
    rate
        Clicks a second at most; None: no limit.
    tick
        Called now and then with the number of clicks sent since the last call.
    acknowledged
        If given, called now and then with the number of clicks, the first ones, that the broker
        has: those left out by ``first`` and those that it has acknowledged since.

    Returns
    -------
    int
        Clicks that the broker has acknowledged.

    Raises
    ------
    CommandError
        If it has not acknowledged all.
    """
    producer = Producer({**client_config(kafka), **PRODUCER_CONFIG, "linger.ms": 20})
    name = topic(EVENTS, tenant)
    failed: list[str] = []

    def wait_acknowledged(done: int) -> None:
        left = producer.flush(60)
        if left or failed:
            raise CommandError(
                f"Kafka has not acknowledged {left + len(failed):,} of {done:,} events"
                + (f" ({failed[0]})" if failed else "")
                + "; `nextclick status` shows whether it runs. Start the command again then: of a "
                f"session, the last {MAX_EVENT_IDS} clicks that have arrived are not taken twice"
            )
        if acknowledged is not None:
            acknowledged(first + done)

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(for_callers(error, f"WRITE on the topic {name}"))

    order = clicks_in_order(sessions)
    order = order[-last:] if last is not None else order[first:]
    headers: list[tuple[str, str | bytes | None]] = [(REPLAY_HEADER, b"1")]
    now_ms = int(time.time() * 1000)
    started = time.monotonic()
    unnoted = Counter[int]()
    """Clicks of each session since the broker was waited for."""
    try:
        for done, (s, p) in enumerate(order, 1):
            session = sessions[s]
            session_id = prefix + session.session_id
            clockless_ms = now_ms - 1000 * (len(session.items) - p)
            event = Event(
                "view",
                session.items[p],
                session.times_ms[p] if session.times_ms else clockless_ms,
                session_id=session_id,
                user_id=session.user_id,
                event_id=event_id_of(session_id, p),
            )
            raw = encode_event(event)
            while True:
                try:
                    producer.produce(name, raw, session_id, headers=headers, on_delivery=delivered)
                    break
                except BufferError:  # the queue is full: let it drain
                    producer.poll(0.05)
            if rate is not None:
                time.sleep(max(started + done / rate - time.monotonic(), 0))
            if done % TICK == 0:
                interrupt.check()
                producer.poll(0)
                tick(TICK)
            unnoted[s] += 1
            due = done % ACKNOWLEDGED_EVERY == 0 or unnoted[s] == MAX_EVENT_IDS
            if acknowledged is not None and due:
                wait_acknowledged(done)
                unnoted.clear()
        wait_acknowledged(len(order))
    except BaseException:
        # Otherwise librdkafka complains of what it still holds; the next run sends it.
        producer.purge()
        producer.poll(0)
        raise
    tick(len(order) % TICK)
    return len(order)


def event_id_of(session_id: str, place: int) -> str:
    """Return the id of a session's click, the same whenever its file is sent.

    >>> event_id_of("s1", 4), event_id_of(256 * "s", 4)
    ('s1-4', '4cb4399f6c18899d5a2a9d78071d1780-4')
    """
    event_id = f"{session_id}-{place}"
    if len(event_id.encode()) <= MAX_ID_BYTES:
        return event_id
    return f"{hashlib.blake2b(session_id.encode(), digest_size=16).hexdigest()}-{place}"
