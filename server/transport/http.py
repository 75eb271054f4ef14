"""The HTTP port of a replica: /metrics for Prometheus, /status as JSON, /healthz and /livez."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from listeners.guard import UNGUARDED, Guard
from listeners.http_port import BoundedHTTPServer, Page, serve_pages


def serve_http(
    host: str, port: int, status: Callable[[], dict[str, Any]], guard: Guard = UNGUARDED
) -> BoundedHTTPServer:
    """Serve in the background.

    Parameters
    ----------
    host, port
        Address to listen on.
    status
        Returns what ``/status`` shows; its ``state`` decides ``/healthz``.
    guard
        Tokens and certificate.

    Raises
    ------
    SystemExit
        If the port is taken.
    """

    def health() -> Page:
        serving = status()["state"] == "SERVING"
        return Page(200, "text/plain", b"ok") if serving else Page(503, "text/plain", b"no")

    pages = {
        "/status": lambda: Page(200, "application/json", orjson.dumps(status())),
        "/healthz": health,
    }
    return serve_pages(host, port, "NEXTCLICK_HOST and NEXTCLICK_HTTP_PORT", pages, guard)
