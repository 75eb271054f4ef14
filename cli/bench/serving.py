"""``nextclick bench serving``: what an answer costs, compared with a bare gRPC echo."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from cli.bench import echo, native
from cli.bench.charts import save_serving
from cli.bench.floors import BESIDE, bare_server
from cli.bench.load import live_clicks
from cli.bench.slices import AlternatingSlices, Target
from cli.bench.worker_scaling import worker_scaling
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.figures import count, microseconds
from cli.live.bootstrap import PREFIX, bootstrap
from cli.live.ledger import Ledger
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.layout import SAMPLE
from cli.stack.process import paused, running, wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from evaluation.datasets import load_sessions
from nextclick import Client, Event, NextclickError
from nextclick.v1 import recommendation_service_pb2 as pb

SERVICE = "/nextclick.v1.RecommendationService/"
BATCH = 64
ASKED_SESSIONS = 2_000
OPEN_RATE, OPEN_CLICKS = 200.0, 200.0
"""Answers a second in an open loop, and live clicks a second at the same time."""

LIVE_CLICKS = 500.0
"""Live clicks a second during closed-loop answers."""

WAITING_PUTS = 100
AT_REST = 15.0
"""Percent of a core; below it, the server has finished indexing the history, too."""


def serving(
    rounds: Annotated[int, typer.Option(min=1, help="Slices of each kind.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a slice.")] = 3.0,
    history: Annotated[
        int | None,
        typer.Option(min=5_000, help="Learn only this many clicks first, the last ones."),
    ] = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Numbers of workers to measure; default: 1 and 2."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Clicks to learn instead of the sample.", exists=True, dir_okay=False),
    ] = None,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure answers over gRPC against a bare echo, at rest and during live learning.

    Slices of both alternate; figures are medians. The echo returns as many bytes as an answer, with
    the same library, and computes nothing. The client is a native program. The rest of the stack
    runs on the same cores (the score job reads the answers, for example), except for the figures
    of the server alone.

    nextclick bench serving --json
    """
    with temporary_stack(home) as stack:
        program = native.client(home.absolute())
        if program is None:
            raise CommandError("not measured: there is no C compiler for the load client")
        sessions = load_sessions(data or SAMPLE / "train.txt.gz")
        with Ledger(stack.kafka_settings) as book, progress() as bar:
            clicks = sum(len(session.items) for session in sessions)
            bootstrap(stack, sessions, min(history or clicks, clicks), book, bar)
        asked = [f"{PREFIX}{session.session_id}" for session in sessions[-ASKED_SESSIONS:]]
        result = measure(stack, program, asked, rounds, seconds, workers or (1, 2))
    save_serving(home / "serving", result)
    if json:
        print_json(result)
    else:
        print_result("Serving", readable(result))


def measure(
    stack: Stack,
    program: Path,
    asked: list[str],
    rounds: int,
    seconds: float,
    workers: Sequence[int],
) -> dict[str, Any]:
    """Return all figures of a stack that has learned its history.

    Parameters
    ----------
    stack
        Of the server.
    program
        The native client.
    asked
        Ids of sessions to ask for.
    rounds, seconds
        Slices of each kind, and their length.
    workers
        Numbers of workers to measure.
    """
    folder = stack.home.path("serving")
    single, batches = folder / "single", folder / "batches"
    requests = [pb.RecommendRequest(session_id=name) for name in asked]
    native.write_requests(single, [request.SerializeToString() for request in requests])
    native.write_requests(batches, list(batched(requests)))
    recommend = f"{SERVICE}Recommend"
    batch_recommend = f"{SERVICE}BatchRecommend"
    with Client(stack.target) as client:
        answer = answer_of(client, asked[-1])
    with bare_server(stack, echo.__name__, answer) as (address, child):
        floor = Target(address, running(child), echo.METHOD, single)
        process = running(stack.child("server"))
        product = Target(stack.target, process, recommend, single)
        with progress() as bar:
            wait_until(lambda: process.cpu_percent(1.0) < AT_REST, 120, "the server at rest")
            task = bar.add_task("slices", total=12 * rounds, note="")
            slices = AlternatingSlices(
                program, product, floor, rounds, seconds, lambda: bar.advance(task)
            )
            slices.warm_up()
            result: dict[str, Any] = slices.both()
            batch = slices.product(batch_recommend, batches)
            with live_clicks(stack, OPEN_CLICKS):
                opened = slices.both(OPEN_RATE)
            with live_clicks(stack, LIVE_CLICKS):
                live = slices.both()
            with paused(stack.child("redis")):
                without_redis = slices.product(recommend, single)
            with paused(stack.child("kafka")), waiting_puts(stack.target):
                without_kafka = slices.product(recommend, single)
            with ExitStack() as others_paused:
                for name in BESIDE:
                    others_paused.enter_context(paused(stack.child(name)))
                alone = slices.both()
                batch_alone = slices.product(batch_recommend, batches)
                by_workers = worker_scaling(stack, program, recommend, single, workers, seconds)
    result |= {f"alone_{name}": value for name, value in alone.items()}
    for prefix, batches_of in (("", batch), ("alone_", batch_alone)):
        for name in ("p50", "p99"):
            floor_us = result[f"{prefix}floor_{name}_us"]
            result[f"{prefix}ratio_{name}"] = result[f"{prefix}{name}_us"] / floor_us
        result[f"{prefix}batch_sessions_per_s"] = BATCH * statistics.median(
            batches_of.answers_per_s
        )
        result[f"{prefix}batch_us_per_session"] = batches_of.medians()["p50_us"] / BATCH
    result |= {
        "open_p50_us": opened["p50_us"],
        "open_p95_us": opened["p95_us"],
        "open_p99_us": opened["p99_us"],
        "live_p50_us": live["p50_us"],
        "live_p99_us": live["p99_us"],
        "live_floor_p99_us": live["floor_p99_us"],
        "redis_paused_p99_us": without_redis.medians()["p99_us"],
        "broker_stopped_p99_us": without_kafka.medians()["p99_us"],
        "errors": slices.errors,
        "workers": by_workers,
        "live_quotient": live["p99_us"] / live["floor_p99_us"] / result["ratio_p99"],
    }
    return result


def batched(requests: list[pb.RecommendRequest]) -> Iterator[bytes]:
    """Yield batches of requests in random order: visitors of one batch have little in common."""
    order = np.random.default_rng(0).permutation(len(requests))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = [requests[i] for i in order[start : start + BATCH]]
        yield pb.BatchRecommendRequest(requests=chosen).SerializeToString()


def answer_of(client: Client, session_id: str) -> bytes:
    """Return an answer of the product, serialised as it comes."""
    scored = client.recommend(session_id)
    response = pb.RecommendResponse(
        recommendation_id=scored.recommendation_id,
        session_version=scored.session_version,
        model_version=1_000_000,
        source=pb.ANSWER_SOURCE_SESSION,
    )
    for item in scored.items:
        response.items.add(item_id=item.item_id, score=item.score)
    return response.SerializeToString()


@contextmanager
def waiting_puts(target: str) -> Iterator[None]:
    """Keep `WAITING_PUTS` calls of PutEvents waiting for the broker."""
    over = threading.Event()

    def put(client: Client, number: int) -> None:
        while not over.is_set():
            try:
                now_ms = int(time.time() * 1000)
                client.put_events([Event("view", "a", now_ms, session_id=f"waiting{number}")])
            except NextclickError:
                over.wait(0.05)

    with Client(target, timeout_s=5) as client:
        threads = [
            threading.Thread(target=put, args=(client, n), daemon=True) for n in range(WAITING_PUTS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(10)


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""

    def us(*names: str) -> str:
        return microseconds(*(result[f"{name}_us"] for name in names))

    def ratios(prefix: str) -> str:
        return f"{result[f'{prefix}ratio_p50']:.2f}, {result[f'{prefix}ratio_p99']:.2f}"

    def batches(prefix: str) -> str:
        per_session = microseconds(result[f"{prefix}batch_us_per_session"])
        return f"{per_session}, {result[f'{prefix}batch_sessions_per_s']:,.0f} sessions/s"

    return {
        "one connection, p50, p95, p99": us("p50", "p95", "p99"),
        "  bare echo": us("floor_p50", "floor_p95", "floor_p99"),
        "  ratio, p50, p99": ratios(""),
        "processor time per answer, echo": us("cpu", "floor_cpu"),
        "rest of the stack paused, p50, p95, p99": us("alone_p50", "alone_p95", "alone_p99"),
        "  ratio to the echo, p50, p99": ratios("alone_"),
        "  processor time per answer, echo": us("alone_cpu", "alone_floor_cpu"),
        f"  batches of {BATCH}, per session": batches("alone_"),
        f"{OPEN_RATE:.0f}/s beside {OPEN_CLICKS:.0f} clicks/s, p50, p95": us(
            "open_p50", "open_p95"
        ),
        f"beside {LIVE_CLICKS:.0f} clicks/s, p99": us("live_p99"),
        "  ratio to the echo, relative to rest": f"{result['live_quotient']:.2f}",
        f"batches of {BATCH}, per session": batches(""),
        "p99, Redis paused": us("redis_paused_p99"),
        "p99, broker paused": us("broker_stopped_p99"),
        "calls without an answer": count(result["errors"]),
        **{
            f"workers: {row['workers']}": f"{row['answers_per_s']:,.0f} answers/s, "
            f"{row['memory_mb']:,.0f} MB each"
            for row in result["workers"]
        },
    }
