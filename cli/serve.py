"""``nextclick serve``: a server replica in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.options import GrpcPort, HttpPort
from cli.stack.layout import PYTHON_PATH, Ports
from cli.stack.workers import Workers

DEFAULTS = Ports()


def serve(
    grpc_port: GrpcPort = DEFAULTS.grpc,
    http_port: HttpPort = DEFAULTS.http,
    kafka: Annotated[str, typer.Option(help="Kafka bootstrap servers.")] = "127.0.0.1:9092",
    redis: Annotated[str, typer.Option(help="URL of Redis.")] = "redis://127.0.0.1:6379/0",
    tenant: Annotated[str, typer.Option(help="Prefix of topics and keys.")] = "",
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes that share the gRPC port, one per core; HTTP ports count up from "
            "--http-port.",
        ),
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
