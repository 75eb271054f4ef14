"""``nextclick up``, ``down``, ``status``, ``serve`` and ``jobs``: the stack on this machine."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.console import err, out, print_json
from cli.errors import CommandError
from cli.lag import group_lag
from cli.options import (
    DEFAULT_HOME,
    FlinkPort,
    FlinkRpcPort,
    FollowerHttpPort,
    GrpcPort,
    HomeFolder,
    HttpPort,
    Json,
    KafkaControllerPort,
    KafkaPort,
    RedisPort,
    StoreHttpPort,
)
from cli.stack import apps, flink
from cli.stack.layout import PYTHON_PATH, Home, Ports
from cli.stack.process import find
from cli.stack.stack import Stack
from cli.workers import Workers

DEFAULT_PORTS = Ports()
JOB_INPUTS = {
    "sessions": {"sessions": "events"},
    "learners": {"vectors": "sessions", "ranker": "examples", "score": "impressions"},
    "vectors": {"vectors": "sessions"},
    "ranker": {"ranker": "examples"},
    "score": {"score": "impressions"},
}
"""What each job's parts read."""

jobs_app = typer.Typer(help="Flink jobs of the running stack.", no_args_is_help=True)


def up(
    home: HomeFolder = DEFAULT_HOME,
    grpc_port: GrpcPort = DEFAULT_PORTS.grpc,
    http_port: HttpPort = DEFAULT_PORTS.http,
    kafka_port: KafkaPort = DEFAULT_PORTS.kafka,
    redis_port: RedisPort = DEFAULT_PORTS.redis,
    flink_port: FlinkPort = DEFAULT_PORTS.flink,
    kafka_controller_port: KafkaControllerPort = DEFAULT_PORTS.kafka_controller,
    flink_rpc_port: FlinkRpcPort = DEFAULT_PORTS.flink_rpc,
    store_http_port: StoreHttpPort = DEFAULT_PORTS.store_http,
    follower_http_port: FollowerHttpPort = DEFAULT_PORTS.follower_http,
    json: Json = False,
) -> None:
    """Start Kafka, Redis, Flink with the sessions job, the session store and a server.

    They go on in the background, with their data of last time; `nextclick down` ends them.

    nextclick up --grpc-port 50052
    """
    started = time.monotonic()
    ports = Ports(
        grpc_port,
        http_port,
        kafka_port,
        redis_port,
        flink_port,
        kafka_controller_port,
        flink_rpc_port,
        store_http_port,
        follower_http_port,
    )
    stack = Stack(Home(home.absolute()), ports, bound=False)
    with err.status("starting") as note:
        stack.start(lambda text: note.update(f"{text} ..."))
    result = {"state": "SERVING", "grpc": stack.target, "seconds": time.monotonic() - started}
    if json:
        print_json(result)
    else:
        out.print(
            f"SERVING after {result['seconds']:.0f} s: gRPC {stack.target}, "
            f"metrics http://127.0.0.1:{http_port}/metrics, Kafka {stack.kafka}, "
            f"Flink http://127.0.0.1:{flink_port}"
        )


def down(home: HomeFolder = DEFAULT_HOME, json: Json = False) -> None:
    """End the stack that `nextclick up` started; its data stays."""
    stack = Stack.running(Home(home.absolute()))
    if stack is not None:
        with err.status("stopping"):
            stack.stop()
    if json:
        print_json({"stopped": stack is not None})
    else:
        out.print("stopped" if stack is not None else f"nothing runs in {home}")


def status(home: HomeFolder = DEFAULT_HOME, json: Json = False) -> None:
    """Show the parts of the running stack, what they are behind, and the models."""
    stack = Stack.running(Home(home.absolute()))
    if stack is None:
        raise CommandError(f"no stack runs in {home}; start one with `nextclick up`")
    result = describe(stack)
    if json:
        print_json(result)
        return
    live = score_rows(result["scoreboard"])
    tables = (("parts", result["parts"]), ("models", result["models"]), ("live score", live))
    for title, rows in tables:
        if not rows:
            continue
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column, justify="right" if column != "name" else "left")
        for row in rows:
            table.add_row(*(cell(value) for value in row.values()))
        out.print(table)


def cell(value: object) -> str:
    """Return a value as people read it."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def describe(stack: Stack) -> dict[str, Any]:
    """Return the parts (name, state, lag in records) and the models of a stack."""
    parts: list[dict[str, Any]] = []
    server = apps.server_status(stack.ports)
    for child in stack.children:
        state, lag = "UP" if find(child) else "DOWN", None
        if child.name == "server" and server:
            state, lag = server["state"], server["lag"]
        elif child.name == "follower":
            lag = apps.follower_status(stack.ports).get("lag")
        elif child.name == "store":
            lag = group_lag(stack.kafka, "session-store", "sessions")
        parts.append({"name": child.name, "state": state, "lag": lag})
    for job in flink.jobs(stack.ports):
        if job["jid"] != stack.jobs.get(job["name"]):
            continue
        for name, source in JOB_INPUTS.get(job["name"], {}).items():
            lag = group_lag(stack.kafka, f"{name}-job", source)
            parts.append({"name": f"job {name}", "state": job["state"], "lag": lag})
    # Counts and vectors learn from every click, the ranker from a sample of them.
    clicks = server.get("clicks")
    models: list[dict[str, Any]] = [{"name": "blend", "version": clicks, "examples": clicks}]
    for name in ("vectors", "ranker"):
        learner = server.get("learners", {}).get(name, {})
        versions = {"version": learner.get("version"), "examples": learner.get("learned")}
        models.append({"name": name, **versions})
    for model in models:
        score = server.get("scores", {}).get(model["name"], {})
        model |= {"answers": server.get("ranking") == model["name"]}
        model |= {"hit_rate": score.get("hit_rate"), "mrr": score.get("mrr")}
    return {"parts": parts, "models": models, "scoreboard": server.get("scoreboard", {})}


def score_rows(scoreboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each ranking and window of the live score."""
    return [
        {
            "name": name,
            "last": int(size),
            "cases": window["cases"],
            "shown": f"{1 - board['shadow_cases'] / max(board['cases'], 1):.0%}",
            "HR@20": window["hit_rate_20"],
            "MRR@20": window["mrr_20"],
            "NDCG@20": window["ndcg_20"],
            "coverage": window["coverage"],
            "diversity": window["diversity"],
            "CTR": board["click_through_rate"],
            "drift since": drift_time(board["drifts"]),
        }
        for name, board in scoreboard.items()
        for size, window in board["windows"].items()
    ]


def drift_time(drifts: list[dict[str, Any]]) -> str:
    """Return when the last change of the hit rate began, and from what to what."""
    if not drifts:
        return ""
    last = drifts[-1]
    began = datetime.fromtimestamp(last["began_ms"] / 1000, UTC)
    return (
        f"{began:%Y-%m-%d %H:%M:%S}Z: {last['hit_rate_before']:.2f} to {last['hit_rate_after']:.2f}"
    )


def serve(
    grpc_port: GrpcPort = DEFAULT_PORTS.grpc,
    http_port: HttpPort = DEFAULT_PORTS.http,
    kafka: Annotated[str, typer.Option(help="Kafka bootstrap servers.")] = "127.0.0.1:9092",
    redis: Annotated[str, typer.Option(help="URL of Redis.")] = "redis://127.0.0.1:6379/0",
    tenant: Annotated[str, typer.Option(help="Prefix of topics and keys.")] = "",
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes on the gRPC port, one a core; HTTP ports count up."),
    ] = 1,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the snapshots.", file_okay=False)
    ] = None,
) -> None:
    """Run a server replica in the foreground, against any Kafka and Redis.

    nextclick serve --kafka broker:9092 --grpc-port 50052 --workers 4
    """
    os.environ.update(
        NEXTCLICK_GRPC_PORT=str(grpc_port),
        NEXTCLICK_HTTP_PORT=str(http_port),
        NEXTCLICK_KAFKA=kafka,
        NEXTCLICK_REDIS=redis,
        NEXTCLICK_TENANT=tenant,
    )
    if data_dir is not None:
        os.environ["NEXTCLICK_DATA_DIR"] = str(data_dir)
    if workers > 1:
        from settings.base import load  # noqa: PLC0415 - loads the models
        from settings.server import ServerSettings  # noqa: PLC0415

        env = os.environ | {"PYTHONPATH": PYTHON_PATH}
        Workers(workers, env, http_port, load(ServerSettings).data_dir).run()
        return
    from server.__main__ import main  # noqa: PLC0415 - loads the kernels

    main()


@jobs_app.command()
def submit(
    name: Annotated[str, typer.Argument(help="The job, e.g. sessions.")],
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Hand a job to the running Flink; it goes on from its last checkpoint, if any."""
    stack = Stack.running(Home(home.absolute()))
    if stack is None:
        raise CommandError(f"no stack runs in {home}; start one with `nextclick up`")
    running = [j for j in flink.jobs(stack.ports) if j["name"] == name and j["state"] == "RUNNING"]
    if running:
        raise CommandError(f"the job {name} runs already, as {running[0]['jid']}")
    with err.status(f"Flink takes the job {name}"):
        job_id = stack.submit(name)
    if json:
        print_json({"name": name, "job_id": job_id})
    else:
        out.print(f"{name} runs as {job_id}")
