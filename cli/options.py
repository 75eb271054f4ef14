"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeFolder = Annotated[Path, typer.Option(help="Folder of the stack's data and logs.")]
GrpcPort = Annotated[
    int | None, typer.Option(help="Port of gRPC; default: NEXTCLICK_GRPC_PORT, or 50051.")
]
HttpPort = Annotated[
    int | None,
    typer.Option(help="Port of metrics and status; default: NEXTCLICK_HTTP_PORT, or 8080."),
]
KafkaPort = Annotated[int, typer.Option(help="Port of Kafka.")]
RedisPort = Annotated[int, typer.Option(help="Port of Redis.")]
FlinkPort = Annotated[int, typer.Option(help="Port of Flink's web interface.")]
KafkaControllerPort = Annotated[int, typer.Option(help="Port of Kafka's controller.")]
FlinkRpcPort = Annotated[int, typer.Option(help="Port of Flink's JobManager.")]
StoreHttpPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the session store's metrics; default: NEXTCLICK_STORE_HTTP_PORT, or 8082."
    ),
]
EmitterHttpPort = Annotated[
    int,
    typer.Option(
        "--emitter-http-port",
        "--follower-http-port",  # its name in the version before
        help="Port of the example emitter's metrics and status.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

DEFAULT_HOME = Path(".nextclick")

BenchFolder = Annotated[Path, typer.Option(help="Folder of data, logs and figures.")]
DEFAULT_BENCH_FOLDER = Path(".nextclick/bench")
