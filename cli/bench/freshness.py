"""``nextclick bench freshness``: from a click in Kafka to the first answer that knows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from confluent_kafka import Consumer, Producer, TopicPartition

from cli.bench.own_stack import live_clicks, own_stack
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.options import Json
from cli.stack.stack import Stack
from nextclick import Client, Event, encode_event
from nextclick.topics import DEAD_LETTERS, EVENTS, PARTITIONS, PRODUCER_CONFIG, SESSIONS

WARM_UP_S = 20.0
LIMIT_S = 10.0


def freshness(
    rate: Annotated[float, typer.Option(min=0, help="Other clicks a second.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=1, help="Time of measuring.")] = 60.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before it.")] = WARM_UP_S,
    probes: Annotated[int, typer.Option(min=1, help="Probes at least.")] = 1_000,
    home: Annotated[
        Path, typer.Option(help="Folder of its data and logs.", file_okay=False)
    ] = Path(".nextclick/bench"),
    json: Json = False,
) -> None:
    """Measure how soon a click counts, beside other traffic, on a stack of its own.

    A probe produces a click to Kafka and asks until an answer's session_version includes
    it. Fails if events pile up: then the figure would say nothing.

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
            probe_until(producer, client, "warm", warm_up, lambda s: bar.update(task, completed=s))
            before = backlog(watcher)
            task = bar.add_task("measuring", total=int(seconds), note="")
            times = probe_until(
                producer, client, "probe", seconds, lambda s: bar.update(task, completed=s)
            )
            after = backlog(watcher)
    finally:
        watcher.close()
    p50, p95, p99 = np.percentile(times, [50, 95, 99]).tolist()
    return {
        "rate": rate,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "probes": len(times),
        "backlog_before": before,
        "backlog": after,
        # Half a second of traffic may be on its way at any time.
        "valid": len(times) >= probes and after <= before + 0.5 * rate + 10,
    }


def probe_until(
    producer: Producer, client: Client, name: str, seconds: float, tick: Any
) -> list[float]:
    """Probe for so many seconds, about 20 a second; returns milliseconds."""
    times: list[float] = []
    started = time.monotonic()
    pause = np.random.default_rng(0)
    n = 0
    while (elapsed := time.monotonic() - started) < seconds:
        # Ten clicks a session: what is measured is an ordinary session.
        session_id, version = f"{name}{n // 10}", n % 10 + 1
        n += 1
        event = Event("view", f"item{n % 97}", int(time.time() * 1000), session_id=session_id)
        raw = encode_event(event)
        t = time.perf_counter()
        producer.produce(EVENTS, raw, session_id)
        producer.poll(0)
        while client.recommend(session_id).session_version < version:
            if time.perf_counter() - t > LIMIT_S:
                raise CommandError(f"a click is not in any answer after {LIMIT_S:.0f} s")
            time.sleep(0.0005)
        times.append((time.perf_counter() - t) * 1000)
        tick(int(elapsed))
        time.sleep(pause.uniform(0.01, 0.04))
    return times


def backlog(consumer: Consumer) -> int:
    """Events that have no outcome yet: each one leads to one record."""

    def end(topic: str) -> int:
        parts = (TopicPartition(topic, p) for p in range(PARTITIONS))
        return int(sum(consumer.get_watermark_offsets(part, timeout=5)[1] for part in parts))

    consumer.list_topics(timeout=5)
    ended = end(SESSIONS) + end(DEAD_LETTERS)
    return max(end(EVENTS) - ended, 0)
