"""Runs the REST gateway: ``python -m gateway``.

Settings are in `settings.gateway`.
"""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import grpc
import uvicorn

from gateway import metrics
from gateway.app import make_app
from gateway.connections import BoundedProtocol
from gateway.upstream import Upstream
from listeners.certificates import Certificate, certificates_of, check_key
from listeners.guard import UNGUARDED, Guard, guard_of
from listeners.http_port import BoundedHTTPServer, Page, serve_pages
from listeners.process_info import show_process
from listeners.watched_files import WatchedFiles, watch
from nextclick.channel import TOKEN
from settings.gateway import GatewaySettings
from settings.load import load
from settings.log_lines import log_to_stderr

log = logging.getLogger("nextclick.gateway")

KEEP_ALIVE_S = 75
"""Time that an idle connection stays open: longer than load balancers keep theirs (60 s)."""

DRAIN_S = 10
"""Time for the calls in flight to finish on shutdown."""


def main() -> None:
    """Run the gateway until SIGTERM or SIGINT, and until the calls in flight have finished."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn has handlers of its own, and raises the signal again for these at its end.
        signal.signal(number, lambda *_: None)
    settings = load(GatewaySettings)
    log_to_stderr("gateway", settings)
    show_process("gateway", settings.tenant)
    guard = guard_of(settings.tokens_file, settings.tls_certificate_file, settings.tls_key_file)
    upstream = Upstream(settings.gateway_target, credentials(settings))
    server = make_server(settings, upstream, guard)
    metrics.READY.set_function(upstream.ready)
    if settings.gateway_http_port:
        serve_metrics(settings.gateway_host, settings.gateway_http_port, upstream, guard)
    with listening(settings) as listener:
        over = " over TLS" if guard.certificate else ""
        log.info("REST on %s:%d%s", settings.gateway_host, settings.gateway_port, over)
        server.run(sockets=[listener])


def make_server(
    settings: GatewaySettings, upstream: Upstream, guard: Guard = UNGUARDED
) -> uvicorn.Server:
    """Return the HTTP server, which speaks TLS if the process has a certificate."""
    certificate = guard.certificate
    # Its warnings are about requests that are no HTTP: whoever sends these could fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        make_app(settings, upstream, public_token(settings)),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.gateway_max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_context_factory=(lambda *_: newest(certificate)) if certificate else None,
    )
    return uvicorn.Server(config)


def newest(certificate: WatchedFiles[Certificate]) -> ssl.SSLContext:
    """Return a context that leaves each handshake to the certificate as it is then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def hand_over(connection: ssl.SSLObject, *_: object) -> None:
        connection.context = certificate.value.context

    context.sni_callback = hand_over  # called for callers that name no server, too
    return context


def serve_metrics(
    host: str, port: int, upstream: Upstream, guard: Guard = UNGUARDED
) -> BoundedHTTPServer:
    """Serve metrics and health in the background, at a port that pages need not reach.

    Raises
    ------
    SystemExit
        If that is not possible there.
    """

    def health() -> Page:
        ready = upstream.ready()
        return Page(200, "text/plain", b"ok") if ready else Page(503, "text/plain", b"no")

    names = "NEXTCLICK_GATEWAY_HOST and NEXTCLICK_GATEWAY_HTTP_PORT"
    return serve_pages(host, port, names, {"/healthz": health}, guard)


def credentials(settings: GatewaySettings) -> WatchedFiles[grpc.ChannelCredentials] | None:
    """Return those of connections to the servers, from files that are watched from now on.

    None: connections are plain.

    Raises
    ------
    SystemExit
        If a file cannot be read, or is not valid.
    """
    if not settings.server_ca_file:
        return None
    own = settings.client_certificate_file, settings.client_key_file
    paths = [Path(name) for name in (*own, settings.server_ca_file) if name]

    def parse(contents: Sequence[bytes]) -> grpc.ChannelCredentials:
        *pair, ca = contents
        certificates_of(ca, "the last file holds no certificate of a CA")
        chain, key = pair or (None, None)
        if chain is not None and key is not None:
            check_key(certificates_of(chain, "the first file holds no certificate")[0], key)
        return grpc.ssl_channel_credentials(ca, key, chain)

    files = WatchedFiles("upstream", paths, parse)
    watch([files])
    return files


def public_token(settings: GatewaySettings) -> str:
    """Return the token of calls that bring none, empty without one.

    Raises
    ------
    SystemExit
        If its file cannot be read, or holds what cannot be a token.
    """
    file = settings.gateway_public_token_file
    if not file:
        return ""
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not ASCII"
        raise SystemExit(f"NEXTCLICK_GATEWAY_PUBLIC_TOKEN_FILE: {file}: {why}") from None
    if not TOKEN.fullmatch(token):
        raise SystemExit(
            f"NEXTCLICK_GATEWAY_PUBLIC_TOKEN_FILE: {file} is no token alone, as `nextclick tokens "
            "create` prints it"
        )
    return token


def listening(settings: GatewaySettings) -> socket.socket:
    """Return the socket that REST listens on.

    Raises
    ------
    SystemExit
        If it is not possible to listen there.
    """
    host, port = settings.gateway_host, settings.gateway_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as e:
        raise SystemExit(
            f"cannot listen on {host}:{port}: {e.strerror}; choose another place with "
            "NEXTCLICK_GATEWAY_HOST and NEXTCLICK_GATEWAY_PORT"
        ) from e


if __name__ == "__main__":
    main()
