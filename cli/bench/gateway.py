"""``nextclick bench gateway``: what an answer over REST costs, compared with an empty route."""

from __future__ import annotations

import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer
from google.protobuf.json_format import MessageToDict

from cli.bench import empty_route, native
from cli.bench.charts import save_json
from cli.bench.floors import BESIDE, bare_server
from cli.bench.slices import AlternatingSlices, Target
from cli.bench.worker_scaling import healthy
from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.figures import count, microseconds, percent
from cli.live.bootstrap import PREFIX, bootstrap
from cli.live.ledger import Ledger
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.layout import PYTHON_PATH, SAMPLE, Child, Ports
from cli.stack.process import START_S, paused, running, spawn, stop, wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import results_folder, temporary_stack
from evaluation.datasets import load_sessions
from gateway.json_messages import parsed, written
from nextclick.v1 import recommendation_service_pb2 as pb

PATH = "/v1/recommend"
METHOD = "/nextclick.v1.RecommendationService/Recommend"
ASKED_SESSIONS = 2_000
CONNECTIONS = 8
"""Of as many callers, each of whom waits for its answer, for the most answers a second."""

CONVERSIONS = 2_000
"""Timed conversions of a request and its answer."""


def gateway(
    rounds: Annotated[int, typer.Option(min=1, help="Slices of each kind.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a slice.")] = 3.0,
    history: Annotated[
        int, typer.Option(min=5_000, help="Learn only this many clicks first, the last ones.")
    ] = 20_000,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure answers over REST against an empty route of FastAPI, each on one core.

    Slices of both alternate; figures are medians. The empty route returns as many bytes as an
    answer, with the same libraries, and asks nobody. The client is a native program; it and the
    server that answers keep off that core. Jobs, emitter and store are paused.

    nextclick bench gateway --json
    """
    with temporary_stack(home) as stack:
        folder = home.absolute()
        http, grpc = native.client(folder, native.HTTP), native.client(folder)
        if http is None or grpc is None:
            raise CommandError("not measured: there is no C compiler for the load client")
        sessions = load_sessions(SAMPLE / "train.txt.gz")
        with Ledger(stack.kafka_settings) as book, progress() as bar:
            clicks = sum(len(session.items) for session in sessions)
            bootstrap(stack, sessions, min(history, clicks), book, bar)
        asked = [f"{PREFIX}{session.session_id}" for session in sessions[-ASKED_SESSIONS:]]
        result = measure(stack, http, grpc, asked, rounds, seconds)
    save_json(results_folder(home) / "gateway", result)
    if json:
        print_json(result)
    else:
        print_result("The REST gateway", readable(result))


def measure(
    stack: Stack, http: Path, grpc: Path, asked: list[str], rounds: int, seconds: float
) -> dict[str, Any]:
    """Return all figures of a stack that has learned its history.

    Parameters
    ----------
    stack
        Of the server.
    http, grpc
        The native clients.
    asked
        Ids of sessions to ask for.
    rounds, seconds
        Slices of each kind, and their length.
    """
    folder = stack.home.path("gateway")
    bodies, messages = folder / "bodies", folder / "messages"
    requests = [pb.RecommendRequest(session_id=name) for name in asked]
    native.write_requests(bodies, [orjson.dumps({"session_id": name}) for name in asked])
    native.write_requests(messages, [request.SerializeToString() for request in requests])
    with ExitStack() as ends:
        address, child = ends.enter_context(running_gateway(stack))
        answer = ask(address, asked[-1])
        floor, floor_child = ends.enter_context(bare_server(stack, empty_route.__name__, answer))
        cores = ends.enter_context(own_cores_kept())
        product, empty = (
            Target(place, keep_to(cores[:1], running(each)), PATH, bodies)
            for place, each in ((address, child), (floor, floor_child))
        )
        for process in (psutil.Process(), running(stack.child("server"))):
            keep_to(cores[1:] or cores, process)
        bar = ends.enter_context(progress())
        task = bar.add_task("slices", total=5 * rounds, note="")

        def tick() -> None:
            bar.advance(task)

        for name in BESIDE:
            ends.enter_context(paused(stack.child(name)))
        slices = AlternatingSlices(http, product, empty, rounds, seconds, tick)
        slices.warm_up()
        result: dict[str, Any] = slices.both()
        result["answers_per_s"], result["floor_answers_per_s"] = (
            statistics.median(column)
            for column in zip(
                *([most(http, t, seconds, tick) for t in (product, empty)] for _ in range(rounds)),
                strict=True,
            )
        )
        server = Target(stack.target, running(stack.child("server")), METHOD, messages)
        direct = AlternatingSlices(grpc, server, server, rounds, seconds, tick)
        result["grpc_p50_us"] = direct.product(METHOD, messages).medians()["p50_us"]
    for name in ("p50", "p99", "cpu"):
        result[f"ratio_{name}"] = result[f"{name}_us"] / result[f"floor_{name}_us"]
    result |= conversions(requests[-1], answer)
    return result | {"json_share": result["json_us"] / result["cpu_us"], "errors": slices.errors}


@contextmanager
def running_gateway(stack: Stack) -> Iterator[tuple[str, Child]]:
    """Run a gateway in front of the server; yields its address and its process."""
    port = Ports.free().http
    argv = [sys.executable, "-m", "cli", "gateway", "--port", str(port)]
    argv += ["--target", stack.target]
    log = stack.home.log("gateway")
    child = spawn("gateway", argv, log, {"PYTHONPATH": PYTHON_PATH}, bound=True)
    try:
        wait_until(lambda: healthy(port), START_S, "the gateway", [(child, log)])
        yield f"127.0.0.1:{port}", child
    finally:
        stop([child])


@contextmanager
def own_cores_kept() -> Iterator[list[int]]:
    """Yield the cores that this process may use, which it gets back afterwards."""
    cores = os.sched_getaffinity(0)
    try:
        yield sorted(cores)
    finally:
        keep_to(sorted(cores), psutil.Process())


def keep_to(cores: list[int], process: psutil.Process) -> psutil.Process:
    """Return a process whose threads keep to some cores from now on, and its children, too."""
    for thread in process.threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(thread.id, cores)
    return process


def ask(address: str, session_id: str) -> bytes:
    """Return an answer of the gateway."""
    body = orjson.dumps({"session_id": session_id})
    named = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{address}{PATH}", body, named)
    with urllib.request.urlopen(request, timeout=START_S) as answer:
        read: bytes = answer.read()
    return read


def most(program: Path, target: Target, seconds: float, tick: Callable[[], None]) -> float:
    """Return the answers a second to `CONNECTIONS` callers at once."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        loads = pool.map(
            lambda _: native.run(program, target.address, target.method, target.requests, seconds),
            range(CONNECTIONS),
        )
        answers = sum(len(load.us) for load in loads)
    tick()
    return answers / seconds


def conversions(request: pb.RecommendRequest, answer: bytes) -> dict[str, float]:
    """Return what JSON costs a call, and what writing the answer by `json_format` would cost."""
    body = orjson.dumps({"session_id": request.session_id})
    raw = parsed(pb.RecommendResponse, answer)
    message = pb.RecommendResponse.FromString(raw)
    return {
        "json_us": timed(
            lambda: (parsed(pb.RecommendRequest, body), written(pb.RecommendResponse, raw))
        ),
        "json_format_us": timed(
            lambda: MessageToDict(message, always_print_fields_with_no_presence=True)
        ),
    }


def timed(convert: Callable[[], object]) -> float:
    """Return the median time of a conversion in microseconds."""
    times = []
    for _ in range(CONVERSIONS):
        begun = time.perf_counter_ns()
        convert()
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1_000


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""

    def us(prefix: str, *names: str) -> str:
        return microseconds(*(result[f"{prefix}{name}_us"] for name in names))

    ratios = ", ".join(f"{result[f'ratio_{name}']:.2f}" for name in ("p50", "p99", "cpu"))
    return {
        "one caller, p50, p95, p99": us("", "p50", "p95", "p99"),
        "  empty route, p50, p95, p99": us("floor_", "p50", "p95", "p99"),
        "  the same answer over gRPC, p50": us("", "grpc_p50"),
        "processor time per answer, empty route": us("", "cpu", "floor_cpu"),
        "ratio to the empty route, p50, p99, processor": ratios,
        f"answers a second to {CONNECTIONS} callers, one core": count(
            round(result["answers_per_s"])
        ),
        "  empty route": count(round(result["floor_answers_per_s"])),
        "JSON, per answer": f"{us('', 'json')}, {percent(result['json_share'], 0)}",
        "  the answer alone by json_format": us("", "json_format"),
        "calls without an answer": count(result["errors"]),
    }
