"""``nextclick gateway``: the REST gateway in the foreground."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cli.options import port
from settings.base import PREFIX


def gateway(
    gateway_port: Annotated[
        int | None, port("Port of REST; default: NEXTCLICK_GATEWAY_PORT, or 8090.", "--port")
    ] = None,
    gateway_http_port: Annotated[
        int | None,
        port(
            "Port of metrics and health; default: NEXTCLICK_GATEWAY_HTTP_PORT, or none.",
            "--http-port",
            least=0,
        ),
    ] = None,
    gateway_target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Where the servers are, such as dns:///servers:50051 for all addresses of a "
            "name; default: NEXTCLICK_GATEWAY_TARGET.",
        ),
    ] = None,
    gateway_origins: Annotated[
        str | None,
        typer.Option(
            "--origins",
            help="Origins whose pages may call, with commas between them; default: "
            "NEXTCLICK_GATEWAY_ORIGINS.",
        ),
    ] = None,
) -> None:
    """Run the REST gateway in the foreground: the gRPC API as JSON, for pages and any language.

    What no option says is taken from the environment and `nextclick.toml`.

    nextclick gateway --target 127.0.0.1:50051 --origins https://shop.example
    """
    given = {
        "gateway_port": gateway_port,
        "gateway_http_port": gateway_http_port,
        "gateway_target": gateway_target,
        "gateway_origins": gateway_origins,
    }
    os.environ.update(
        {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
    )
    from gateway.__main__ import main  # noqa: PLC0415 - its packages are optional

    main()
