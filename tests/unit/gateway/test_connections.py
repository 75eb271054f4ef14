"""Connections: closed when their client is too slow or sends too much, and bounded in number."""

import socket
import threading
from contextlib import suppress

import pytest

from gateway import bodies, connections
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.served_gateway import LIMIT_S, gateway
from tests.unit.nextclick.fake_server import serving

HEAD = b"POST /v1/recommend HTTP/1.1\r\nhost: a\r\n"


def connect(running):
    return socket.create_connection((running.host, running.port), timeout=LIMIT_S)


def all_of(connection):
    """What comes until the other side closes the connection."""
    read = b""
    while chunk := connection.recv(65_536):
        read += chunk
    return read


@pytest.mark.parametrize("sent", [b"", HEAD, b"POST"], ids=["nothing", "headers", "a word"])
def test_a_client_that_does_not_finish_its_headers_is_closed(rest, monkeypatch, sent):
    """A few such clients would take all connections, for ever."""
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    with connect(rest) as connection:
        connection.sendall(sent)
        with suppress(ConnectionResetError):
            assert all_of(connection) == b""


def test_a_second_request_has_to_finish_its_headers_as_well(rest, fake, monkeypatch):
    """The clock of the first one has stopped."""
    fake.answers = [pb.RecommendResponse()]
    with connect(rest) as connection:
        connection.sendall(HEAD + b"content-length: 0\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(connections, "HEAD_S", 0.05)
        connection.sendall(HEAD)
        with suppress(ConnectionResetError):
            assert all_of(connection) == b""


def test_a_body_that_does_not_come_is_not_waited_for(rest, monkeypatch):
    """As above."""
    monkeypatch.setattr(bodies, "READ_S", 0.05)
    with connect(rest) as connection:
        connection.sendall(HEAD + b"content-length: 10\r\n\r\n{")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408")


def test_endless_headers_are_refused(rest):
    """They would be kept in memory until the connection ends."""
    with connect(rest) as connection:
        line = b"x: " + b"a" * 1_000 + b"\r\n"
        connection.sendall(HEAD + line * 20)
        assert all_of(connection).startswith(b"HTTP/1.1 431")


def test_requests_after_one_another_are_not_taken_for_long_headers(rest, fake):
    """A connection that stays open would be closed after some calls."""
    fake.answers = [pb.RecommendResponse()]
    body = b'{"session_id": "' + b"s" * 900 + b'"}'
    request = HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with connect(rest) as connection:
        for _ in range(40):
            connection.sendall(request)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_closed(rest, fake, monkeypatch):
    """It would keep its answers in memory."""
    monkeypatch.setattr(connections, "UNREAD_S", 0.05)
    closed = threading.Event()
    lost = connections.BoundedProtocol.connection_lost

    def connection_lost(self, error):
        lost(self, error)
        closed.set()

    monkeypatch.setattr(connections.BoundedProtocol, "connection_lost", connection_lost)
    fake.answers = [pb.RecommendResponse(items=[pb.ScoredItem(item_id="a" * 200)] * 15_000)]
    with connect(rest) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        for _ in range(5):
            connection.sendall(HEAD + b"content-length: 0\r\n\r\n")
        assert closed.wait(LIMIT_S)


def test_connections_beyond_the_limit_get_no_answer(fake):
    """Each takes memory and a file."""
    fake.answers = [pb.RecommendResponse()]
    with serving(fake) as target, gateway(target, gateway_max_connections=3) as running:
        with connect(running), connect(running):
            assert running.call("recommend", {}).status == 503
        assert running.call("recommend", {}).status == 200
