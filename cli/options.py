"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

HomeFolder = Annotated[
    Path, typer.Option(help="Folder of the stack's data and logs.", file_okay=False)
]


def port(text: str, *names: str, least: int = 1) -> Any:
    """Return the option of a port; ``least`` is 0 where a part can do without one."""
    return typer.Option(*names, help=text, min=least, max=65_535)


GrpcPort = Annotated[int | None, port("Port of gRPC; default: NEXTCLICK_GRPC_PORT, or 50051.")]
HttpPort = Annotated[
    int | None,
    port("Port of metrics and status; default: NEXTCLICK_HTTP_PORT, or 8080.", least=0),
]
KafkaPort = Annotated[int, port("Port of Kafka.")]
RedisPort = Annotated[int, port("Port of Redis.")]
FlinkPort = Annotated[int, port("Port of Flink's web interface.")]
KafkaControllerPort = Annotated[int, port("Port of Kafka's controller.")]
FlinkRpcPort = Annotated[int, port("Port of Flink's JobManager.")]
StoreHttpPort = Annotated[
    int | None,
    port(
        "Port of the session store's metrics; default: NEXTCLICK_STORE_HTTP_PORT, or 8082.",
        least=0,
    ),
]
EmitterHttpPort = Annotated[
    int,
    port(
        "Port of the example emitter's metrics and status.",
        "--emitter-http-port",
        "--follower-http-port",  # its name in the version before
    ),
]
FlinkMetricsPort = Annotated[
    int,
    port(
        "First of the 8 ports of Flink's metrics for Prometheus, which all of the network can "
        "reach; default: none.",
        least=0,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**32 - 1)]
Kafka = Annotated[
    str | None, typer.Option(help="Kafka bootstrap servers; default: NEXTCLICK_KAFKA.")
]
Tenant = Annotated[
    str | None, typer.Option(help="Prefix of topics and keys; default: NEXTCLICK_TENANT.")
]
ServedTenant = Annotated[
    str | None,
    typer.Option("--tenant", help="Whom the server must serve; default: NEXTCLICK_TENANT."),
]
StackTenant = Annotated[
    str | None, typer.Option("--tenant", help="Whose topics and jobs; default: the stack's.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

DEFAULT_HOME = Path(".nextclick")

BenchFolder = Annotated[
    Path, typer.Option(help="Folder of data, logs and figures.", file_okay=False)
]
DEFAULT_BENCH_FOLDER = Path(".nextclick/bench")
