"""Connections: closed when their client is too slow or sends too much, and bounded in number."""

import http.client
import json
import socket
import threading
from contextlib import suppress

import pytest

from gateway import __main__ as gateway_process
from gateway import bodies, connections
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.served_gateway import LIMIT_S, gateway, until
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


def after(monkeypatch, name):
    """An event that is set once a connection of the gateway has been told something."""
    told = threading.Event()
    method = getattr(connections.BoundedProtocol, name)

    def noted(self, *args):
        method(self, *args)
        told.set()

    monkeypatch.setattr(connections.BoundedProtocol, name, noted)
    return told


def status_of_next(connection):
    """The status of the next answer, which is read as a whole."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def problem_of(answer):
    """Status and code of an answer that is a problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % problem["status"])
    return problem["status"], problem["code"]


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
        assert status_of_next(connection) == 200
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


@pytest.mark.parametrize(("path", "length"), [(b"nothing", 1), (b"recommend", 1 << 30)])
def test_a_body_that_comes_after_its_answer_does_not_keep_the_connection(
    fake, monkeypatch, path, length
):
    """Of a path that there is not, or of a body that is too large: it stayed open for ever."""
    monkeypatch.setattr(gateway_process, "KEEP_ALIVE_S", 0.5)
    head = b"POST /v1/%s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (path, length)
    with serving(fake) as target, gateway(target) as running, connect(running) as connection:
        connection.sendall(head)
        assert status_of_next(connection) in (404, 413)
        connection.sendall(b"{")
        with suppress(ConnectionResetError):
            assert all_of(connection) == b""


def test_endless_headers_are_refused(rest):
    """They would be kept in memory until the connection ends."""
    with connect(rest) as connection:
        line = b"x: " + b"a" * 1_000 + b"\r\n"
        connection.sendall(HEAD + line * 20)
        assert problem_of(all_of(connection)) == (431, "INVALID_ARGUMENT")


def test_what_is_no_http_is_answered_with_a_problem(rest):
    """Clients read one kind of error."""
    with connect(rest) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        assert problem_of(all_of(connection)) == (400, "INVALID_ARGUMENT")


def test_a_request_that_asks_for_another_protocol_keeps_its_body(rest, fake):
    """Java's `HttpClient` asks for HTTP/2 with its first call: that would be an empty request."""
    fake.answers = [pb.RecommendResponse()]
    asked = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AA"}
    assert rest.call("recommend", {"session_id": "s"}, **asked).status == 200
    assert fake.requests == [pb.RecommendRequest(session_id="s")]


def test_an_upgrade_that_comes_in_two_parts_is_refused(rest, fake, monkeypatch):
    """Its body would be passed over without a word."""
    received = after(monkeypatch, "data_received")
    with connect(rest) as connection:
        connection.sendall(HEAD + b"connection: upgrade\r\ncontent-length: 2\r\nupg")
        assert received.wait(LIMIT_S)
        connection.sendall(b"rade: h2c\r\n\r\n{}")
        assert problem_of(all_of(connection)) == (400, "INVALID_ARGUMENT")
    assert fake.requests == []


def test_requests_after_one_another_are_not_taken_for_long_headers(rest, fake):
    """A connection that stays open would be closed after some calls."""
    fake.answers = [pb.RecommendResponse()]
    calls = http.client.HTTPConnection(rest.host, rest.port, timeout=LIMIT_S)
    for _ in range(40):
        calls.request("POST", "/v1/recommend", b'{"session_id": "' + b"s" * 900 + b'"}')
        response = calls.getresponse()
        assert response.status == 200
        response.read()
    calls.close()


def test_a_client_that_does_not_read_is_closed(rest, fake, monkeypatch):
    """It would keep its answers in memory."""
    monkeypatch.setattr(connections, "UNREAD_S", 0.05)
    closed = after(monkeypatch, "connection_lost")
    fake.answers = [pb.RecommendResponse(items=[pb.ScoredItem(item_id="a" * 200)] * 15_000)]
    with connect(rest) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        for _ in range(5):
            connection.sendall(HEAD + b"content-length: 0\r\n\r\n")
        assert closed.wait(LIMIT_S)


def test_connections_beyond_the_limit_get_no_answer(fake):
    """Each takes memory and a file."""
    fake.answers = [pb.RecommendResponse()]
    with serving(fake) as target, gateway(target, gateway_max_connections=2) as running:
        with connect(running) as first, connect(running):
            answer = running.call("recommend", {})
            assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
            assert answer.headers["content-type"] == "application/problem+json"
            # Those that were there before are answered: else, idle ones would end the service.
            first.sendall(HEAD + b"content-length: 0\r\n\r\n")
            assert first.recv(65_536).startswith(b"HTTP/1.1 200")
        until(lambda: running.call("recommend", {}).status == 200)
