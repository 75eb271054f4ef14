"""The HTTP port: /metrics for Prometheus, /status as JSON, /healthz."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.transport.client_slots import ClientSlots

MAX_CONNECTIONS, MAX_CLIENT_CONNECTIONS = 64, 16
"""The most open connections, in all and of one address: each has a thread."""

SILENCE_S = 10.0
"""A connection that sends nothing for so long is closed."""


class BoundedHTTPServer(ThreadingHTTPServer):
    """Closes connections beyond the limits at once."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._slots = ClientSlots(MAX_CONNECTIONS, MAX_CLIENT_CONNECTIONS)
        super().__init__(address, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection is within the limits."""
        del request
        return self._slots.take(client_address[0])

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, then give its slot back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.give_back(client_address[0])


def serve_http(host: str, port: int, status: Callable[[], dict[str, Any]]) -> BoundedHTTPServer:
    """Serve in the background.

    Parameters
    ----------
    host, port
        Address to listen on.
    status
        Returns what ``/status`` shows; its ``state`` decides ``/healthz``.

    Raises
    ------
    SystemExit
        If the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENCE_S

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._reply(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path == "/status":
                self._reply(200, "application/json", orjson.dumps(status()))
            elif self.path == "/healthz":
                serving = status()["state"] == "SERVING"
                self._reply(200 if serving else 503, "text/plain", b"ok" if serving else b"no")
            else:
                self._reply(404, "text/plain", b"try /metrics, /status or /healthz")

        def _reply(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    try:
        server = BoundedHTTPServer((host, port), Handler)
    except OSError as e:
        raise SystemExit(
            f"cannot listen on {host}:{port}: {e.strerror}; choose another port with "
            "NEXTCLICK_HTTP_PORT"
        ) from e
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
