"""The HTTP port: silent connections take neither threads without end nor the turn of others."""

import json
import socket
import threading
import urllib.error
import urllib.request

import pytest

from cli.stack.layout import Ports
from cli.stack.process import wait_until
from listeners import http_port
from server.transport.http import serve_http
from streaming.store import serve_metrics

SERVERS = {
    "a replica": lambda port: serve_http("127.0.0.1", port, lambda: {"state": "SERVING"}),
    "the session store": lambda port: serve_metrics("127.0.0.1", port),
}


@pytest.fixture(params=SERVERS)
def start(request):
    """A function that starts the HTTP port of a process; returns the server, ended afterwards."""
    started = []

    def run():
        started.append(SERVERS[request.param](Ports.free().http))
        return started[-1]

    yield run
    for server in started:
        server.shutdown()
        server.server_close()


def test_connections_of_one_client_are_bounded(start, monkeypatch):
    """300 silent connections took 284 threads of the process that answers, or that writes."""
    monkeypatch.setattr(http_port, "MAX_CLIENT_CONNECTIONS", 3)
    port = start().server_address[1]
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(20)]
    refused = [s for s in silent[3:] if s.recv(1) == b""]
    assert len(refused) == 17
    assert threading.active_count() <= before + 3
    for s in silent:
        s.close()


def test_a_connection_that_was_closed_leaves_its_place(start, monkeypatch):
    """Prometheus comes back every few seconds, for ever."""
    monkeypatch.setattr(http_port, "MAX_CLIENT_CONNECTIONS", 3)
    server = start()
    for _ in range(5):
        assert b"# TYPE nextclick_" in get(server, "/metrics")
        wait_until(lambda: not server._slots._taken, 60, "the connection closed")


def test_a_silent_connection_is_closed(start, monkeypatch):
    """Otherwise a client that lost its network would keep its places until the next start."""
    monkeypatch.setattr(http_port, "SILENCE_S", 0.1)
    with socket.create_connection(start().server_address[:2], 60) as silent:
        assert silent.recv(1) == b""


def test_a_taken_port_is_one_clear_line(start):
    """It was a traceback, from the depth of the standard library."""
    port = start().server_address[1]
    with pytest.raises(SystemExit, match=rf"127.0.0.1:{port}: .* NEXTCLICK_STORE_HTTP_PORT"):
        serve_metrics("127.0.0.1", port)
    with pytest.raises(SystemExit, match=rf"127.0.0.1:{port}: .* NEXTCLICK_HTTP_PORT"):
        serve_http("127.0.0.1", port, dict)


def test_a_replica_tells_its_state():
    """Load balancers go by the code of /healthz, scripts by /status."""
    status = {"state": "SERVING"}
    server = serve_http("127.0.0.1", Ports.free().http, lambda: status)
    try:
        assert json.loads(get(server, "/status")) == status
        assert get(server, "/healthz") == b"ok"
        status["state"] = "NOT_SERVING"
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(server, "/healthz")
    finally:
        server.shutdown()
        server.server_close()


def test_a_page_that_does_not_exist_is_answered_with_those_that_do(start):
    """Whoever mistypes a path learns the right one."""
    with pytest.raises(urllib.error.HTTPError) as failed:
        get(start(), "/metric")
    assert failed.value.code == 404
    assert b"/metrics" in failed.value.read()


def get(server, path):
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    with urllib.request.urlopen(url, timeout=60) as reply:
        return reply.read()
