"""The HTTP port: silent connections take neither threads without end nor the turn of others."""

import socket
import threading
import urllib.request

import pytest

from cli.stack.layout import Ports
from cli.stack.process import wait_until
from server.transport import http


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "MAX_CLIENT_CONNECTIONS", 3)
    server = http.serve_http("127.0.0.1", Ports.free().http, lambda: {"state": "SERVING"})
    yield server
    server.shutdown()
    server.server_close()


def test_connections_of_one_client_are_bounded(server):
    """300 silent connections took 284 threads of the process that answers."""
    port = server.server_address[1]
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(20)]
    refused = [s for s in silent[3:] if s.recv(1) == b""]
    assert len(refused) == 17
    assert threading.active_count() <= before + 3
    for s in silent:
        s.close()


def test_a_connection_that_was_closed_leaves_its_place(server):
    """Prometheus comes back every few seconds, for ever."""
    url = f"http://127.0.0.1:{server.server_address[1]}/healthz"
    for _ in range(5):
        with urllib.request.urlopen(url, timeout=60) as reply:
            assert reply.read() == b"ok"
        wait_until(lambda: not server._slots._taken, 60, "the connection closed")


def test_a_silent_connection_is_closed(monkeypatch):
    """Otherwise a client that lost its network would keep its places until the next start."""
    monkeypatch.setattr(http, "SILENCE_S", 0.1)
    port = Ports.free().http
    server = http.serve_http("127.0.0.1", port, lambda: {"state": "SERVING"})
    with socket.create_connection(("127.0.0.1", port), 60) as silent:
        assert silent.recv(1) == b""
    server.shutdown()
    server.server_close()
