"""``nextclick bench throughput``: how many clicks a second each reader of the log processes."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Annotated, Any

import typer
from confluent_kafka import Consumer, TopicPartition

from cli.bench.charts import save_json
from cli.bench.floor import FLOOR
from cli.bench.load import sampled
from cli.console import err, print_json, print_result
from cli.figures import seconds
from cli.live.history import send_history
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack import apps, flink, flink_rest, kafka, topics
from cli.stack.layout import Child, Ports
from cli.stack.process import spawn, stop, wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from connections.kafka import client_config
from evaluation.datasets import Session
from nextclick.topics import SESSIONS, partitions, topic
from settings.base import variables
from streaming.jobs.registry import JOBS, Job

TENANT, FLOOR_TENANT = "bench", "floor"
SKIPPED = 0.2
"""Share at the start that is not measured: JVM, interpreters and kernels are warming up."""

LOOK_S = 0.02
"""Between two looks at how far a part is."""

LIMIT_S = 300.0


def throughput(
    events: Annotated[int, typer.Option(min=1_000, help="Clicks to preload.")] = 500_000,
    slots: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Slots to give the sessions job; default: 2."),
    ] = None,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Preload real clicks, then time how fast each part processes them, one after another.

    The sessions job is compared with the least that a job can do, a replica with a plain consumer;
    the session store is measured alone. Each has one slot or process; then the sessions job gets
    more slots. Start-up is not counted.

    nextclick bench throughput --json
    """
    with temporary_stack(home) as stack:
        result = measure(stack, events, slots or [2])
    save_json(home / "throughput", result)
    if json:
        print_json(result)
    else:
        print_result("Clicks a second", readable(result))


def measure(stack: Stack, events: int, slots: list[int]) -> dict[str, Any]:
    """Return the rates of all parts, on a stack that nothing else uses."""
    for tenant in (TENANT, FLOOR_TENANT):
        topics.create(kafka.admin_client(stack.kafka_settings), tenant)
    with err.status("preloading"):
        sent = send_history(stack.kafka_settings, repeated(events), tenant=TENANT)
    with stack.more_taskmanagers():
        floor = job_rate(stack, FLOOR, FLOOR_TENANT, sent)
        sessions = job_rate(stack, JOBS["sessions"], TENANT, sent)
    stored = store_rate(stack, sent)
    applied, restart = replica_rate(stack, sent)
    consumed = consumer_rate(stack, sent)
    by_slots = [{"slots": 1, "events_per_s": sessions}]
    for n in slots:
        with stack.more_taskmanagers(n):
            several = job_rate(stack, JOBS["sessions"], TENANT, sent, "--parallelism", str(n))
        by_slots.append({"slots": n, "events_per_s": several})
    return {
        "events": sent,
        "events_per_s": sessions,
        "floor_events_per_s": floor,
        "ratio": sessions / floor,
        "stored_per_s": stored,
        "applied_per_s": applied,
        **restart,
        "consumed_per_s": consumed,
        "slots": by_slots,
    }


def repeated(events: int) -> list[Session]:
    """Return sessions with ``events`` clicks: the sample, again and again under new ids."""
    by_name: dict[str, list[str]] = {}
    endless = sampled()
    for _ in range(events):
        name, item = next(endless)
        by_name.setdefault(name, []).append(item)
    return [Session(name, tuple(items)) for name, items in by_name.items()]


def rate(done: Callable[[], int], total: int, what: str) -> float:
    """Return how much ``done`` rises a second, measured from `SKIPPED` of the total on."""
    seen: list[tuple[float, int]] = []
    began = time.monotonic()

    def finished() -> bool:
        seen.append((time.monotonic(), done()))
        time.sleep(LOOK_S)
        return seen[-1][1] >= total

    with err.status(what):
        wait_until(finished, LIMIT_S, what)
    # A run that is over between two looks is measured from the look before.
    part = [entry for entry in seen if SKIPPED * total <= entry[1] < total]
    start = part[0] if part else seen[-2] if len(seen) > 1 else (began, 0)
    return (seen[-1][1] - start[1]) / max(seen[-1][0] - start[0], 1e-3)


def job_rate(stack: Stack, job: Job, out: str, total: int, *args: str) -> float:
    """Return the records a second that a job writes to the topic `sessions` of a tenant."""
    watcher = Consumer({**client_config(stack.kafka_settings), "group.id": "bench"})
    parts = [TopicPartition(topic(SESSIONS, out), p) for p in partitions(SESSIONS)]

    def written() -> int:
        return sum(watcher.get_watermark_offsets(part, timeout=LIMIT_S)[1] for part in parts)

    before = written()
    args = ("--kafka", stack.kafka, "--tenant", TENANT, *args)
    env = variables(stack.kafka_settings)
    job_id = flink.submit(stack.home, job, *args, env=env)
    try:
        return rate(lambda: written() - before, total, f"the job {job.name}")
    finally:
        watcher.close()
        flink_rest.cancel(stack.ports, job_id)


def store_rate(stack: Stack, total: int) -> float:
    """Return the records a second that a session store writes to Redis."""
    port = Ports.free().store_http
    env = apps.environment(stack.home, stack.ports, "store", TENANT)
    env["NEXTCLICK_STORE_HTTP_PORT"] = str(port)
    argv = [sys.executable, "-m", "streaming.store"]
    child = spawn("bench-store", argv, stack.home.log("bench-store"), env, bound=True)
    try:
        return rate(lambda: stored(port, total), total, "the store")
    finally:
        stop([child])


def stored(port: int, total: int) -> int:
    """Return the records that a store has processed; it writes the newest of each session only."""
    written = metric(port, "nextclick_store_written_total")
    return total - int(metric(port, "nextclick_store_lag_records")) if written else 0


def replica_rate(stack: Stack, total: int) -> tuple[float, dict[str, float]]:
    """Return the clicks a second that a replica applies, and the figures of its restart.

    The restart is from its snapshot until health says SERVING.
    """
    ports = Ports.free()
    env = apps.environment(stack.home, stack.ports, "server", TENANT) | {
        "NEXTCLICK_GRPC_PORT": str(ports.grpc),
        "NEXTCLICK_HTTP_PORT": str(ports.http),
        "NEXTCLICK_DATA_DIR": str(stack.home.path("bench-replica")),
    }
    log = stack.home.log("bench-replica")

    def start() -> Child:
        return spawn("bench-replica", [sys.executable, "-m", "server"], log, env, bound=True)

    child = start()
    try:
        applied = rate(lambda: int(apps.server_status(ports).get("clicks", 0)), total, "a replica")
        sessions = apps.server_status(ports)["sessions"]
        stop([child], grace_s=60)
        began = time.monotonic()
        child = start()
        wait_until(lambda: apps.serving(ports), LIMIT_S, "a replica SERVING", [(child, log)])
        restart_s = time.monotonic() - began
    finally:
        stop([child], grace_s=60)
    return applied, {"restart_s": restart_s, "restart_sessions": sessions}


def consumer_rate(stack: Stack, total: int) -> float:
    """Return the records a second that a bare consumer loop reads: the floor of the replica."""
    consumer = Consumer(
        {
            **client_config(stack.kafka_settings),
            "group.id": "bench-floor",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 32_768,
        }
    )
    name = topic(SESSIONS, TENANT)
    consumer.assign([TopicPartition(name, p, 0) for p in partitions(SESSIONS)])
    taken, started, at_start = 0, 0.0, 0
    while taken < total:
        taken += sum(m.error() is None for m in consumer.consume(500, 1.0))
        if not started and taken >= SKIPPED * total:
            started, at_start = time.monotonic(), taken
    consumer.close()
    return (taken - at_start) / max(time.monotonic() - started, 1e-3)


def metric(port: int, name: str) -> float:
    """Return the value of a Prometheus metric of a tenant, 0 while its process does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name}{{")), 0.0)


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    return {
        "sessions job": f"{result['events_per_s']:,.0f}",
        "  the least a job can do": f"{result['floor_events_per_s']:,.0f}",
        "  ratio": f"{result['ratio']:.2f}",
        **{
            f"  slots: {row['slots']}": f"{row['events_per_s']:,.0f}"
            for row in result["slots"]
            if row["slots"] > 1
        },
        "session store, to Redis": f"{result['stored_per_s']:,.0f}",
        "replica": f"{result['applied_per_s']:,.0f}",
        "  plain consumer": f"{result['consumed_per_s']:,.0f}",
        f"  SERVING again, {result['restart_sessions']:,} sessions": seconds(result["restart_s"]),
    }
