"""The HTTP port of a process: /metrics for Prometheus, and further pages.

Where callers need tokens, all pages but those that say how the process is need the scope `metrics`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from listeners.client_slots import ClientSlots
from listeners.guard import UNGUARDED, Guard
from listeners.tokens import Scope

MAX_CONNECTIONS, MAX_CLIENT_CONNECTIONS = 64, 16
"""The most open connections, in all and of one address: each has a thread."""

SILENCE_S = 10.0
"""A connection that sends nothing for so long is closed."""

log = logging.getLogger("nextclick.http")

OPEN = ("/healthz", "/livez")
"""Pages without a token: load balancers and Kubernetes have none."""


class Page(NamedTuple):
    """An answer: its status code, its type, and its bytes."""

    code: int
    kind: str
    body: bytes


class BoundedHTTPServer(ThreadingHTTPServer):
    """Closes connections beyond the limits at once; speaks TLS if the process has a certificate."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        guard: Guard = UNGUARDED,
    ) -> None:
        self._certificate = guard.certificate
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a bug; nothing of a connection that broke off, as any caller could fill the log."""
        del request, client_address
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("a page failed")

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection, once both sides agree on TLS."""
        if self._certificate is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(SILENCE_S)
        try:
            secured = self._certificate.value.context.wrap_socket(request, server_side=True)
        except OSError:  # it speaks no TLS, or none of ours, or nothing at all
            return
        with secured:
            super().finish_request(secured, client_address)


def serve_pages(
    host: str,
    port: int,
    settings: str,
    pages: Mapping[str, Callable[[], Page]],
    guard: Guard = UNGUARDED,
) -> BoundedHTTPServer:
    """Serve the metrics of this process, and pages, in the background.

    Parameters
    ----------
    host, port
        Address to listen on.
    settings
        Names of the settings that say where, for the message.
    pages
        What else there is, by path; asked for each time.
    guard
        Tokens and certificate.

    Raises
    ------
    SystemExit
        If it is not possible to listen there.
    """
    served = {"/metrics": _metrics, "/livez": _alive, **pages}

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENCE_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            page = _refusal(guard, path, self.headers.get("Authorization", ""))
            page = page or served.get(path, lambda: _not_found(served))()
            self.send_response(page.code)
            if page.code == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_HEAD = do_GET  # noqa: N815 - its name there

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    try:
        server = BoundedHTTPServer((host, port), Handler, guard)
    except OSError as e:
        raise SystemExit(
            f"cannot listen on {host}:{port}: {e.strerror}; choose another place with {settings}"
        ) from e
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _refusal(guard: Guard, path: str, authorization: str) -> Page | None:
    """Return the page for a caller who must not see what they ask for, None if they may."""
    if guard.tokens is None or path in OPEN:
        return None
    token = guard.tokens.value.of(authorization)
    if token is None:
        return Page(HTTPStatus.UNAUTHORIZED, "text/plain", b"send a token of this server")
    if Scope.METRICS not in token.scopes:
        return Page(HTTPStatus.FORBIDDEN, "text/plain", b"the token lacks the scope metrics")
    return None


def _alive() -> Page:
    return Page(200, "text/plain", b"ok")


def _metrics() -> Page:
    return Page(200, CONTENT_TYPE_LATEST, generate_latest())


def _not_found(served: Mapping[str, object]) -> Page:
    return Page(404, "text/plain", f"try {', '.join(served)}".encode())
