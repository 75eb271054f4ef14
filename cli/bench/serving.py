"""``nextclick bench serving``: what an answer costs, beside a bare call of the same library."""

from __future__ import annotations

import signal
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from cli.bench import echo, native
from cli.bench.charts import save_serving
from cli.bench.own_stack import live_clicks, own_stack
from cli.bench.workers import curve
from cli.console import print_json, print_result, progress
from cli.datasets import SAMPLE, load_sessions
from cli.demo import bootstrap, ledger
from cli.errors import CommandError
from cli.options import Json
from cli.stack.layout import PYTHON_PATH, Child, Ports
from cli.stack.process import START_S, find, spawn, stop, wait_until
from cli.stack.stack import Stack
from nextclick import Client, Event, NextclickError
from nextclick.v1 import recommendation_service_pb2 as pb

SERVICE = "/nextclick.v1.RecommendationService/"
BATCH = 64
ASKED_SESSIONS = 2_000
OPEN_RATE, OPEN_CLICKS, LIVE_CLICKS = 200.0, 200.0, 500.0
WAITING_PUTS = 100
AT_REST = 15.0
"""Percent of a core that the server takes once the history is in its index, too."""

BESIDE = ("taskmanager-1", "taskmanager-2", "jobmanager", "follower", "store")
"""Parts that are stopped where the server is measured alone; Kafka and Redis go on."""


@dataclass
class Slices:
    """Percentiles of each slice of a kind, and the server's processor time an answer."""

    us: list[list[float]] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    def figures(self, prefix: str = "") -> dict[str, float]:
        """Return the medians over the slices."""
        p50, p95, p99 = (statistics.median(column) for column in zip(*self.us, strict=True))
        return {
            f"{prefix}p50_us": p50,
            f"{prefix}p95_us": p95,
            f"{prefix}p99_us": p99,
            f"{prefix}cpu_us": statistics.median(self.cpu_us),
        }


@dataclass(frozen=True)
class Target:
    """A server to be asked: its address, process, method and requests."""

    address: str
    process: psutil.Process
    method: str
    requests: Path


class Bench:
    """Alternating slices of calls against the product and its floor."""

    def __init__(
        self, program: Path, server: Target, floor: Target, rounds: int, seconds: float
    ) -> None:
        self._program = program
        self._targets = {"": server, "floor_": floor}
        self._rounds, self._seconds = rounds, seconds
        self.errors = 0

    def slice(self, target: Target, slices: Slices, rate: float = 0) -> None:
        """Ask one server for a while."""
        before = sum(target.process.cpu_times()[:2])
        load = native.run(
            self._program, target.address, target.method, target.requests, self._seconds, rate
        )
        used = sum(target.process.cpu_times()[:2]) - before
        slices.us.append(np.percentile(load.us, [50, 95, 99]).tolist())
        slices.cpu_us.append(1e6 * used / len(load.us))
        slices.answers.append(len(load.us) / self._seconds)
        self.errors += load.errors

    def both(self, tick: Callable[[], None], rate: float = 0) -> dict[str, float]:
        """Return the medians of product and floor, in turn in the same minutes."""
        kinds = {prefix: Slices() for prefix in self._targets}
        for _ in range(self._rounds):
            for prefix, target in self._targets.items():
                self.slice(target, kinds[prefix], rate)
                tick()
        merged: dict[str, float] = {}
        for prefix, slices in kinds.items():
            merged |= slices.figures(prefix)
        return merged

    def product(self, method: str, requests: Path, tick: Callable[[], None]) -> Slices:
        """Return slices of the product alone."""
        slices = Slices()
        server = self._targets[""]
        for _ in range(self._rounds):
            self.slice(Target(server.address, server.process, method, requests), slices)
            tick()
        return slices


def serving(
    rounds: Annotated[int, typer.Option(min=1, help="Slices of each kind.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a slice.")] = 3.0,
    history: Annotated[
        int | None, typer.Option(min=5_000, help="Clicks learned first, the last ones; all.")
    ] = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Numbers of workers whose answers a second are counted; 1 and 2."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Clicks to learn instead of the sample.", exists=True, dir_okay=False),
    ] = None,
    home: Annotated[Path, typer.Option(help="Folder of the stack.")] = Path(".nextclick/bench"),
    json: Json = False,
) -> None:
    """Measure answers over gRPC against a bare echo, at rest and beside live learning.

    Slices of both alternate; figures are medians. The floor answers the same number of bytes
    with the same library and does nothing. The client is native. What answers lead to (the score
    job takes them in) runs on the same cores, but for the figures with the rest stopped.

    nextclick bench serving --json
    """
    with own_stack(home) as stack:
        program = native.client(home.absolute())
        if program is None:
            raise CommandError("not measured: there is no C compiler for the load client")
        sessions = load_sessions(data or SAMPLE / "train.txt.gz")
        with ledger(stack.kafka) as book, progress() as bar:
            clicks = sum(len(session.items) for session in sessions)
            bootstrap(stack, sessions, min(history or clicks, clicks), book, bar)
        asked = [f"train-{session.session_id}" for session in sessions[-ASKED_SESSIONS:]]
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
    """Return all figures of a stack that has learned its history."""
    folder = stack.home.path("serving")
    single, batches = folder / "single", folder / "batches"
    requests = [pb.RecommendRequest(session_id=name) for name in asked]
    native.write_requests(single, [request.SerializeToString() for request in requests])
    native.write_requests(batches, list(batched(requests)))
    with Client(stack.target) as client, floor_server(stack, client, asked[-1]) as (address, child):
        floor = Target(address, process_of(child), echo.METHOD, single)
        process = process_of(stack.child("server"))
        server = Target(stack.target, process, f"{SERVICE}Recommend", single)
        bench = Bench(program, server, floor, rounds, seconds)
        with progress() as bar:
            wait_until(lambda: process.cpu_percent(1.0) < AT_REST, 120, "the server at rest")
            task = bar.add_task("slices", total=12 * rounds, note="")
            tick = lambda: bar.advance(task)  # noqa: E731
            bench.slice(server, Slices())
            bench.slice(floor, Slices())
            result: dict[str, Any] = bench.both(tick)
            batch = bench.product(f"{SERVICE}BatchRecommend", batches, tick)
            with live_clicks(stack, OPEN_CLICKS):
                opened = bench.both(tick, OPEN_RATE)
            with live_clicks(stack, LIVE_CLICKS):
                live = bench.both(tick)
            with paused(stack.child("redis")):
                redis = bench.product(f"{SERVICE}Recommend", single, tick)
            with paused(stack.child("kafka")), waiting_puts(stack.target):
                broker = bench.product(f"{SERVICE}Recommend", single, tick)
            with ExitStack() as stopped:
                for name in BESIDE:
                    stopped.enter_context(paused(stack.child(name)))
                alone = bench.both(tick)
                batch_alone = bench.product(f"{SERVICE}BatchRecommend", batches, tick)
                by_workers = curve(stack, program, f"{SERVICE}Recommend", single, workers, seconds)
    result |= {f"alone_{name}": value for name, value in alone.items()}
    for prefix, batches_of in (("", batch), ("alone_", batch_alone)):
        for name in ("p50", "p99"):
            floor_us = result[f"{prefix}floor_{name}_us"]
            result[f"{prefix}ratio_{name}"] = result[f"{prefix}{name}_us"] / floor_us
        result[f"{prefix}batch_sessions_per_s"] = BATCH * statistics.median(batches_of.answers)
        result[f"{prefix}batch_us_per_session"] = batches_of.figures()["p50_us"] / BATCH
    result |= {
        "open_p50_us": opened["p50_us"],
        "open_p95_us": opened["p95_us"],
        "open_p99_us": opened["p99_us"],
        "live_p50_us": live["p50_us"],
        "live_p99_us": live["p99_us"],
        "live_floor_p99_us": live["floor_p99_us"],
        "redis_paused_p99_us": redis.figures()["p99_us"],
        "broker_stopped_p99_us": broker.figures()["p99_us"],
        "errors": bench.errors,
        "workers": by_workers,
        "live_quotient": live["p99_us"] / live["floor_p99_us"] / result["ratio_p99"],
    }
    return result


def batched(requests: list[pb.RecommendRequest]) -> Iterator[bytes]:
    """Yield batches of requests in random order, as unrelated visitors come."""
    order = np.random.default_rng(0).permutation(len(requests))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = [requests[i] for i in order[start : start + BATCH]]
        yield pb.BatchRecommendRequest(requests=chosen).SerializeToString()


def process_of(child: Child) -> psutil.Process:
    """Return a child's process."""
    process = find(child)
    assert process is not None, f"{child.name} has ended"
    return process


@contextmanager
def floor_server(stack: Stack, client: Client, session_id: str) -> Iterator[tuple[str, Child]]:
    """Run the floor; its answer has the bytes of the product's."""
    answer = stack.home.path("serving") / "answer"
    scored = client.recommend(session_id)
    response = pb.RecommendResponse(
        recommendation_id=scored.recommendation_id,
        session_version=scored.session_version,
        model_version=1_000_000,
        source=pb.ANSWER_SOURCE_SESSION,
    )
    for item in scored.items:
        response.items.add(item_id=item.item_id, score=item.score)
    answer.write_bytes(response.SerializeToString())
    port = Ports.free().grpc
    argv = [sys.executable, "-m", "cli.bench.echo", str(port), str(answer)]
    child = spawn("floor", argv, stack.home.log("floor"), {"PYTHONPATH": PYTHON_PATH}, bound=True)
    try:
        address = f"127.0.0.1:{port}"
        log = stack.home.log("floor")
        wait_until(lambda: listens(child), START_S, "the floor", [(child, log)])
        yield address, child
    finally:
        stop([child])


def listens(child: Child) -> bool:
    """Whether a process listens on a port."""
    process = find(child)
    return process is not None and any(c.status == "LISTEN" for c in process.net_connections())


@contextmanager
def paused(child: Child) -> Iterator[None]:
    """Stop a process in its tracks, and let it go on."""
    process = process_of(child)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def waiting_puts(target: str) -> Iterator[None]:
    """Keep so many PutEvents waiting."""
    over = threading.Event()

    def put(client: Client, number: int) -> None:
        while not over.is_set():
            try:
                client.put_events([Event("view", "a", 1, session_id=f"waiting{number}")])
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
        return ", ".join(f"{result[name]:,.0f}" for name in names)

    return {
        "one connection, p50 p95 p99": f"{us('p50_us', 'p95_us', 'p99_us')} us",
        "  bare echo": f"{us('floor_p50_us', 'floor_p95_us', 'floor_p99_us')} us",
        "  ratio, p50 p99": f"{result['ratio_p50']:.2f}, {result['ratio_p99']:.2f}",
        "processor an answer, echo": f"{us('cpu_us', 'floor_cpu_us')} us",
        "the rest of the stack stopped": f"{us('alone_p50_us', 'alone_p95_us', 'alone_p99_us')} us",
        "  ratio to its echo": f"{result['alone_ratio_p50']:.2f}, {result['alone_ratio_p99']:.2f}",
        "  processor": f"{us('alone_cpu_us', 'alone_floor_cpu_us')} us",
        "  batches of 64, a session": f"{result['alone_batch_us_per_session']:.0f} us, "
        f"{result['alone_batch_sessions_per_s']:,.0f} sessions/s",
        "200/s beside 200 clicks/s, p50 p95": f"{us('open_p50_us', 'open_p95_us')} us",
        "beside 500 clicks/s, p99": f"{us('live_p99_us')} us",
        "  ratio to echo, against rest": f"{result['live_quotient']:.2f}",
        "batches of 64, a session": f"{result['batch_us_per_session']:.0f} us",
        "  sessions a second": f"{result['batch_sessions_per_s']:,.0f}",
        "p99, Redis paused": f"{us('redis_paused_p99_us')} us",
        "p99, broker stopped": f"{us('broker_stopped_p99_us')} us",
        "calls without an answer": f"{result['errors']}",
        **{
            f"workers: {row['workers']}": f"{row['answers_per_s']:,.0f} answers/s, "
            f"{row['memory_mb']:,.0f} MB each"
            for row in result["workers"]
        },
    }
