"""``nextclick bench freshness``: the time from a click to the first answer that reflects it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
import typer
from confluent_kafka import Consumer, Producer, TopicPartition

from cli.bench.load import live_clicks
from cli.bench.probes import LIMIT_S, Probe, backlog, ends, probe_until
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.figures import count
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from connections.kafka import client_config
from nextclick import Client
from nextclick.topics import PRODUCER_CONFIG, SESSIONS
from nextclick.v1.session_pb2 import SessionRecord

WARM_UP_S = 20.0
CAUGHT_UP_S = 0.1
"""Seconds of traffic that may be in flight when measuring begins."""


def freshness(
    rate: Annotated[float, typer.Option(min=0, help="Other clicks a second.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    warm_up: Annotated[
        float,
        typer.Option(min=0, help="Least warm-up; it lasts until the stack keeps up."),
    ] = WARM_UP_S,
    probes: Annotated[int, typer.Option(min=1, help="Minimum number of probes.")] = 1_000,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure how soon a click affects answers, under other traffic, on a stack of its own.

    A probe produces a click to Kafka and asks until an answer's session_version includes it; one
    probe in five uses PutEvents. Hops are means by the broker's clock. Fails if events pile up:
    the figure would be meaningless.

    nextclick bench freshness --rate 200 --json
    """
    with temporary_stack(home) as stack:
        result = measure(stack, rate, seconds, warm_up, probes)
    if json:
        print_json(result)
    else:
        print_result("From a click to its effect", readable(result))
    if not result["valid"]:
        raise CommandError(
            "the stack did not keep up, or there were too few probes: the figures are not valid"
        )


def measure(
    stack: Stack, rate: float, seconds: float, warm_up: float, probes: int
) -> dict[str, Any]:
    """Return the figures of one run on a stack; arguments as in `freshness`."""
    kafka = client_config(stack.kafka_settings)
    producer = Producer({**kafka, **PRODUCER_CONFIG, "linger.ms": 0})
    watcher = Consumer({**kafka, "group.id": "bench"})
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
        # Half a second of traffic may be in flight at any time.
        "valid": len(produced) >= probes and after <= before + 0.5 * rate + 10,
    }


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    return {
        "other clicks a second": f"{result['rate']:,g}",
        "a click to its effect, p50": f"{result['p50_ms']:,.1f} ms",
        "  p95": f"{result['p95_ms']:,.1f} ms",
        "  p99": f"{result['p99_ms']:,.1f} ms",
        **{f"  {hop}, mean": f"{ms:,.1f} ms" for hop, ms in result["hops_ms"].items()},
        "  by PutEvents, p50": f"{result['put_events_p50_ms']:,.1f} ms",
        "probes": count(result["probes"]),
        "events without an outcome, before, after": (
            f"{count(result['backlog_before'])}, {count(result['backlog'])}"
        ),
    }


def session_times(consumer: Consumer, start: list[int]) -> dict[tuple[str, int], float]:
    """Return when the broker appended each session record since the offsets ``start``.

    Keys are (session_id, version); times are milliseconds since 1970.
    """
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

    Kafka's timestamps are whole milliseconds, so only means are meaningful.
    """
    known = [p for p in probes if p.appended_ms and (p.session_id, p.version) in written]
    if not known:
        return {}
    appended = np.array([p.appended_ms for p in known])
    session = np.array([written[p.session_id, p.version] for p in known])
    sent, answered = np.array([(p.sent_ms, p.sent_ms + p.ms) for p in known]).T
    half = 0.5  # a timestamp cut to milliseconds is half a millisecond early, on average
    return {
        "to the events topic": float((appended + half - sent).mean()),
        "sessions job": float((session - appended).mean()),
        "to an answer": float((answered - session - half).mean()),
    }
