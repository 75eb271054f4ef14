"""The store's metrics: a port that is taken is said, and silent connections end."""

import socket
import urllib.request

import pytest

from cli.stack.layout import Ports
from streaming import store


def test_a_taken_port_is_one_clear_line():
    """It was a traceback, from the depth of the standard library."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"127.0.0.1:{port}: .*NEXTCLICK_STORE_HTTP_PORT"):
            store.serve_metrics("127.0.0.1", port)


def test_metrics_are_served_and_silent_connections_are_closed(monkeypatch):
    """Each silent connection kept a thread for ever."""
    monkeypatch.setattr(store, "SILENCE_S", 0.1)
    port = Ports.free().store_http
    store.serve_metrics("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
        assert b"nextclick_store_written_total" in reply.read()
    with socket.create_connection(("127.0.0.1", port), 60) as silent:
        assert silent.recv(1) == b""
