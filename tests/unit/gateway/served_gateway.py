"""A running gateway for tests, in front of any gRPC server, and a client that speaks plain HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cli.stack.layout import Ports
from gateway.__main__ import credentials, listening, make_server
from gateway.upstream import Upstream
from listeners.guard import UNGUARDED, Guard
from settings.gateway import GatewaySettings

LIMIT_S = 60.0
"""For what takes milliseconds: a test that reaches it fails."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Gateway:
    """Where a gateway listens."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.url = f"http://{host}:{port}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Any = ()) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def call(self, name: str, request: Any = None, **headers: str) -> Answer:
        """Make a call of the API; underscores in names of headers are hyphens."""
        body = b"" if request is None else json.dumps(request).encode()
        named = {"content-type": "application/json"}
        named |= {key.replace("_", "-"): value for key, value in headers.items()}
        return self.ask("POST", f"/v1/{name}", body, named)


@contextmanager
def gateway(target: str, guard: Guard = UNGUARDED, **more: Any) -> Iterator[Gateway]:
    """Run a gateway in front of a target while the block runs."""
    settings = GatewaySettings(gateway_port=Ports.free().http, gateway_target=target, **more)
    upstream = Upstream(target, credentials(settings))
    server = make_server(settings, upstream, guard)
    listener = listening(settings)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        until(lambda: server.started and upstream.ready())
        yield Gateway(settings.gateway_host, settings.gateway_port)
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
        listener.close()


def until(condition: Any) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
