"""``nextclick bench freshness``: from a click in Kafka to the first answer that knows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from cli.bench.own_stack import live_clicks, own_stack
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.options import Json
from cli.stack.stack import Stack
from nextclick import Client, Event, encode_event
from nextclick.topics import DEAD_LETTERS, EVENTS, PARTITIONS, PRODUCER_CONFIG, SESSIONS
from nextclick.v1.session_pb2 import SessionRecord

WARM_UP_S = 20.0
LIMIT_S = 60.0
"""For a click to be in an answer, and for the stack to have caught up after the warm-up: Java that
has not compiled itself yet falls behind at first."""

CAUGHT_UP_S = 0.1
"""Traffic that may be on its way when measuring begins."""


def freshness(
    rate: Annotated[float, typer.Option(min=0, help="Other clicks a second.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=1, help="Time of measuring.")] = 60.0,
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds before it, or until the stack keeps up.")
    ] = WARM_UP_S,
    probes: Annotated[int, typer.Option(min=1, help="Probes at least.")] = 1_000,
    home: Annotated[
        Path, typer.Option(help="Folder of its data and logs.", file_okay=False)
    ] = Path(".nextclick/bench"),
    json: Json = False,
) -> None:
    """Measure how soon a click counts, beside other traffic, on a stack of its own.

    A probe produces a click to Kafka and asks until an answer's session_version includes it; one
    in five goes by PutEvents. Hops are means by the broker's clock. Fails if events pile up: then
    the figure would say nothing.

    nextclick bench freshness --rate 200 --json
    """
    with own_stack(home) as stack:
        result = measure(stack, rate, seconds, warm_up, probes)
    if json:
        print_json(result)
    else:
        print_result(
            "From a click to its effect",
            {
                "other clicks a second": f"{rate:g}",
                "p50": f"{result['p50_ms']:.1f} ms",
                "p95": f"{result['p95_ms']:.1f} ms",
                "p99": f"{result['p99_ms']:.1f} ms",
                "p50, by PutEvents": f"{result['put_events_p50_ms']:.1f} ms",
                **{f"  {hop}": f"{ms:.1f} ms" for hop, ms in result["hops_ms"].items()},
                "probes": f"{result['probes']:,}",
                "backlog, before and after": f"{result['backlog_before']}, {result['backlog']}",
            },
        )
    if not result["valid"]:
        raise CommandError("the stack did not keep up, or too few probes: no valid figure")


def measure(
    stack: Stack, rate: float, seconds: float, warm_up: float, probes: int
) -> dict[str, Any]:
    """Return the figures of one run."""
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": stack.kafka, "linger.ms": 0})
    watcher = Consumer({"bootstrap.servers": stack.kafka, "group.id": "bench"})
    try:
        with (
            live_clicks(stack, rate),
            progress() as bar,
            Client(stack.target, timeout_s=LIMIT_S) as client,
        ):
            task = bar.add_task("warming up", total=int(warm_up), note="")
            started = time.monotonic()
            show = lambda _: bar.update(task, completed=int(time.monotonic() - started))  # noqa: E731
            warm = 0.0
            while warm < warm_up or backlog(watcher) > CAUGHT_UP_S * rate:
                part = max(warm_up - warm, 1)
                probe_until(producer, client, f"warm{warm:.0f}-", part, show)
                warm = time.monotonic() - started
                if warm > warm_up + LIMIT_S:
                    raise CommandError(f"the stack does not keep up with {rate:g} clicks a second")
            before, start = backlog(watcher), ends(watcher, SESSIONS)
            task = bar.add_task("measuring", total=int(seconds), note="")
            probed = probe_until(
                producer, client, "probe", seconds, lambda s: bar.update(task, completed=s)
            )
            after = backlog(watcher)
        producer.flush(LIMIT_S)
        written = session_times(watcher, start)
    finally:
        watcher.close()
    produced = [probe.ms for probe in probed if not probe.put]
    p50, p95, p99 = np.percentile(produced, [50, 95, 99]).tolist()
    return {
        "rate": rate,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "probes": len(produced),
        "put_events_p50_ms": float(np.median([p.ms for p in probed if p.put] or [np.nan])),
        "hops_ms": hops(probed, written),
        "backlog_before": before,
        "backlog": after,
        "warm_up_s": warm,
        # Half a second of traffic may be on its way at any time.
        "valid": len(produced) >= probes and after <= before + 0.5 * rate + 10,
    }


@dataclass
class Probe:
    """A click: which, how it was sent, when, when Kafka had it, when an answer knew it."""

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
    """Probe for so many seconds, about 40 a second, one in five by PutEvents."""
    probes: list[Probe] = []
    started = time.monotonic()
    pause = np.random.default_rng(0)
    n = 0
    while (elapsed := time.monotonic() - started) < seconds:
        # Ten clicks a session: what is measured is an ordinary session.
        session_id, version = f"{name}{n // 10}", n % 10 + 1
        n += 1
        probe = Probe(session_id, version, n % 5 == 0, time.time() * 1_000)
        event = Event("view", f"item{n % 97}", int(probe.sent_ms), session_id=session_id)
        t = time.perf_counter()
        if probe.put:
            client.put_events([event])
        else:
            producer.produce(EVENTS, encode_event(event), session_id, on_delivery=noting(probe))
            producer.poll(0)
        while client.recommend(session_id).session_version < version:
            if time.perf_counter() - t > LIMIT_S:
                raise CommandError(f"a click is not in any answer after {LIMIT_S:.0f} s")
            time.sleep(0.0005)
        probe.ms = (time.perf_counter() - t) * 1_000
        probes.append(probe)
        tick(int(elapsed))
        time.sleep(pause.uniform(0.002, 0.012))
    return probes


def noting(probe: Probe) -> Callable[[KafkaError | None, Message], None]:
    """Return what notes when the broker had a probe's click."""

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            probe.appended_ms = message.timestamp()[1]

    return delivered


def session_times(consumer: Consumer, start: list[int]) -> dict[tuple[str, int], float]:
    """Return when the broker had each session record since ``start``: by session and version."""
    end = ends(consumer, SESSIONS)
    consumer.assign([TopicPartition(SESSIONS, p, at) for p, at in enumerate(start)])
    written: dict[tuple[str, int], float] = {}
    left = sum(end) - sum(start)
    while left > 0:
        messages = consumer.consume(min(left, 10_000), timeout=LIMIT_S)
        if not messages:
            raise CommandError(f"{left} records of {SESSIONS} cannot be read")
        for message in messages:
            if message.error() is None and (value := message.value()) is not None:
                record = SessionRecord.FromString(value)
                written[record.session_id, record.version] = message.timestamp()[1]
        left -= len(messages)
    return written


def hops(probes: list[Probe], written: dict[tuple[str, int], float]) -> dict[str, float]:
    """Return the mean milliseconds of each hop of the clicks that were produced to Kafka.

    Kafka's clock ticks in milliseconds, so that only means say anything.
    """
    known = [p for p in probes if p.appended_ms and (p.session_id, p.version) in written]
    if not known:
        return {}
    appended = np.array([p.appended_ms for p in known])
    session = np.array([written[p.session_id, p.version] for p in known])
    sent, answered = np.array([(p.sent_ms, p.sent_ms + p.ms) for p in known]).T
    half = 0.5  # a time that is cut to milliseconds is half of one too early, on average
    return {
        "to the events topic": float((appended + half - sent).mean()),
        "sessions job": float((session - appended).mean()),
        "to an answer": float((answered - session - half).mean()),
    }


def ends(consumer: Consumer, topic: str) -> list[int]:
    """Return the end of each partition."""
    parts = (TopicPartition(topic, p) for p in range(PARTITIONS))
    return [int(consumer.get_watermark_offsets(part, timeout=LIMIT_S)[1]) for part in parts]


def backlog(consumer: Consumer) -> int:
    """Events that have no outcome yet: each one leads to one record."""
    consumer.list_topics(timeout=LIMIT_S)
    events, sessions, dead = (sum(ends(consumer, t)) for t in (EVENTS, SESSIONS, DEAD_LETTERS))
    return max(events - sessions - dead, 0)
