"""The HTTP port: silent connections take neither threads without end nor the turn of others."""

import json
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from cli.stack.authority import Authority
from cli.stack.layout import Ports
from cli.stack.process import wait_until
from listeners import http_port
from listeners.guard import UNGUARDED, guard_of
from listeners.tokens import Scope
from server.transport.http import serve_http
from streaming.store import serve_metrics
from tests.tokens import write_tokens


def replica(port, guard):
    return serve_http("127.0.0.1", port, lambda: {"state": "SERVING"}, guard)


def store(port, guard):
    return serve_metrics("127.0.0.1", port, guard)


SERVERS = {"a replica": replica, "the session store": store}


@pytest.fixture(params=SERVERS)
def start(request):
    """A function that starts the HTTP port of a process; returns the server, ended afterwards."""
    started = []

    def run(guard=UNGUARDED):
        started.append(SERVERS[request.param](Ports.free().http, guard))
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


def test_a_connection_that_breaks_off_says_nothing(start, capsys, caplog):
    """Each one wrote a traceback with its address, so whoever reached the port filled the log."""
    server = start()
    connection = socket.create_connection(server.server_address[:2], 60)
    connection.sendall(b"GET /livez HTTP/1.1\r\n")
    wait_until(lambda: server._slots._taken, 60, "the connection taken")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()  # with a reset, as that of a program which has crashed
    wait_until(lambda: not server._slots._taken, 60, "the connection closed")
    assert (capsys.readouterr().err, caplog.text) == ("", "")


def test_a_page_that_fails_is_a_line_of_the_log(caplog):
    """It was printed beside the lines, with the address of whoever had asked."""
    server = serve_http("127.0.0.1", Ports.free().http, dict)  # without a state
    try:
        with pytest.raises(ConnectionError):
            get(server, "/healthz")
        wait_until(lambda: caplog.records, 60, "the line")
    finally:
        server.shutdown()
        server.server_close()
    [line] = caplog.records
    assert (line.name, line.getMessage()) == ("nextclick.http", "a page failed")
    assert "KeyError" in caplog.text
    assert "127.0.0.1" not in caplog.text


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


def test_pages_are_asked_for_as_load_balancers_do(start):
    """By HEAD, and with a query: a process that is well was taken for one that is not."""
    server = start()
    assert get(server, "/livez?from=balancer") == b"ok"
    url = f"http://127.0.0.1:{server.server_address[1]}/livez"
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60) as reply:
        assert (reply.status, reply.headers["Content-Length"], reply.read()) == (200, "2", b"")


def test_a_page_that_does_not_exist_is_answered_with_those_that_do(start):
    """Whoever mistypes a path learns the right one."""
    with pytest.raises(urllib.error.HTTPError) as failed:
        get(start(), "/metric")
    assert failed.value.code == 404
    assert b"/metrics" in failed.value.read()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def over_tls(start, authority):
    """A server with a certificate."""
    mine = authority.issue("server")
    return start(guard_of("", str(mine.certificate), str(mine.key)))


def test_pages_over_tls(over_tls, authority):
    """Metrics name what a shop sells and how much of it; and the token of who reads them."""
    context = ssl.create_default_context(cafile=authority.certificate)
    for _ in range(2 * http_port.MAX_CLIENT_CONNECTIONS):
        assert b"# TYPE nextclick_" in get(over_tls, "/metrics", context)
        wait_until(lambda: not over_tls._slots._taken, 60, "the connection closed")
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        get(over_tls, "/metrics", ssl.create_default_context())


def test_who_speaks_no_tls_or_nothing_is_closed_without_a_word(
    over_tls, authority, monkeypatch, capsys
):
    """Port scanners filled the log with tracebacks; silence must not keep a thread."""
    monkeypatch.setattr(http_port, "SILENCE_S", 0.1)
    for sent in (b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""):
        with socket.create_connection(over_tls.server_address[:2], 60) as plain:
            plain.sendall(sent)
            with suppress(ConnectionResetError):
                while plain.recv(1_024):  # an alert of TLS
                    pass
    wait_until(lambda: not over_tls._slots._taken, 60, "all connections closed")
    assert capsys.readouterr().err == ""
    context = ssl.create_default_context(cafile=authority.certificate)
    monkeypatch.undo()
    assert get(over_tls, "/livez", context) == b"ok"


def test_a_renewed_certificate_is_that_of_the_next_connection(start, authority):
    """As on the gRPC port, without a restart."""
    mine = authority.issue("server")
    guard = guard_of("", str(mine.certificate), str(mine.key))
    address = start(guard).server_address[:2]

    def shown():
        return ssl.get_server_certificate(address, ca_certs=authority.certificate)

    assert shown() == mine.certificate.read_text()
    authority.issue("server")
    guard.certificate.refresh()
    assert shown() == mine.certificate.read_text()


@pytest.mark.parametrize("path", ["/metrics", "/status", "/", "/nothing"])
def test_pages_need_a_token_with_the_scope_metrics(start, tmp_path, path):
    """All but two say what a shop does; which others there are is nobody's business either."""
    file = tmp_path / "tokens.json"
    bearers = write_tokens(file, shop=(Scope.RECOMMEND,), prometheus=(Scope.METRICS,))
    server = start(guard_of(str(file), "", ""))
    for headers, code in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (dict(bearers["shop"].metadata), 403),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(server, path, headers=headers)
        assert refused.value.code == code
        assert (refused.value.headers["WWW-Authenticate"] == "Bearer") is (code == 401)
    assert get(server, "/metrics", headers=dict(bearers["prometheus"].metadata))
    assert get(server, "/livez") == b"ok"


def test_health_needs_no_token(tmp_path):
    """Load balancers and Kubernetes have none."""
    file = tmp_path / "tokens.json"
    write_tokens(file, prometheus=(Scope.METRICS,))
    server = replica(Ports.free().http, guard_of(str(file), "", ""))
    try:
        assert get(server, "/healthz") == b"ok"
    finally:
        server.shutdown()
        server.server_close()


def get(server, path, context=None, headers=None):
    scheme = "https" if context else "http"
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}{path}"
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, timeout=60, context=context) as reply:
        return reply.read()
