"""``nextclick serve``: a server replica in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cli.errors import CommandError
from cli.options import GrpcPort, HttpPort, Kafka, Tenant
from cli.stack.layout import PYTHON_PATH
from cli.stack.workers import Workers
from settings.base import PREFIX
from settings.load import load
from settings.log_lines import log_to_stderr
from settings.server import ServerSettings


def serve(
    grpc_port: GrpcPort = None,
    http_port: HttpPort = None,
    kafka: Kafka = None,
    redis: Annotated[
        str | None,
        typer.Option(help="URL of Redis, without a password; default: NEXTCLICK_REDIS."),
    ] = None,
    tenant: Tenant = None,
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

    What no option says is taken from the environment and `nextclick.toml`.

    nextclick serve --kafka broker:9092 --grpc-port 50052 --workers 4
    """
    given = {
        "grpc_port": grpc_port,
        "http_port": http_port,
        "kafka": kafka,
        "redis": redis,
        "tenant": tenant,
        "data_dir": data_dir,
    }
    if redis is not None and _password(redis):
        raise CommandError(
            "--redis has a password, which everybody on this machine can read from the command "
            "line: put the URL into the environment as NEXTCLICK_REDIS, or into nextclick.toml"
        )
    os.environ.update(
        {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
    )
    if workers > 1:
        settings = load(ServerSettings)
        log_to_stderr("workers", settings)
        env = os.environ | {"PYTHONPATH": PYTHON_PATH}
        Workers(workers, env, settings.http_port, settings.data_dir).run()
        return
    from server.__main__ import main  # noqa: PLC0415 - loads the kernels

    main()


def _password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:  # the settings say what is wrong with it
        return False
