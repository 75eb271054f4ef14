"""TLS on the gRPC port, for calls of both kinds: who is let in, and rotation under load."""

import asyncio
import ssl
import threading
from collections import Counter

import grpc
import pytest
from cryptography import x509

from cli.stack.authority import Authority
from listeners import watched_files
from listeners.guard import guard_of
from nextclick import AsyncClient, Client, Tls, UnavailableError
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.server import GrpcServer
from settings.server import ServerSettings
from tests.unit.server.transport.served import LIMIT_S, Served, until

TRIED = {"timeout_s": 5.0, "retries": 0}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def serve(authority, monkeypatch):
    """A function that starts a server with a certificate; mutual: it asks callers for theirs."""
    monkeypatch.setattr(watched_files, "EVERY_S", 0.01)
    started = []

    def serve(mutual=False):
        mine, callers = authority.issue("server"), authority.issue("caller")
        ca = str(authority.certificate) if mutual else ""
        tls = Tls(authority.certificate, callers.certificate, callers.key)
        guard = guard_of("", str(mine.certificate), str(mine.key), ca)
        started.append(Served(guard, tls))
        return started[-1], tls

    yield serve
    for served in started:
        served.close()


def assert_all_calls_are_answered(target, tls):
    with Client(target, tls=tls, timeout_s=LIMIT_S) as client:
        assert len(client.recommend("s").items) == 20
        assert len(client.recommend_batch(["s", "t"])) == 2
        assert len(list(client.recommend_stream(["s", "t"]))) == 2


@pytest.mark.parametrize("mutual", [False, True])
def test_calls_of_both_kinds_are_answered_over_tls(serve, authority, mutual):
    """The fast lane answers on the same port as the stock server, with its certificate."""
    served, tls = serve(mutual)
    assert_all_calls_are_answered(served.target, tls)
    assert served.status()
    if not mutual:
        assert_all_calls_are_answered(served.target, Tls(authority.certificate))


def test_a_client_of_asyncio_speaks_tls_as_well(serve):
    """It has a channel of its own kind."""
    served, tls = serve(mutual=True)

    async def ask():
        async with AsyncClient(served.target, tls=tls, timeout_s=LIMIT_S) as client:
            return await client.recommend("s")

    assert len(asyncio.run(ask()).items) == 20


def test_whoever_is_not_known_gets_no_connection(serve, authority, tmp_path):
    """A stranger's certificate, none, no TLS at all; and a server that is not the right one."""
    served, tls = serve(mutual=True)
    other = Authority(tmp_path, "other")
    stranger = other.issue("stranger")
    for wrong in (
        Tls(authority.certificate),
        Tls(authority.certificate, stranger.certificate, stranger.key),
        Tls(other.certificate, tls.certificate_file, tls.key_file),
        None,
    ):
        with Client(served.target, tls=wrong, **TRIED) as client, pytest.raises(UnavailableError):
            client.recommend("s")
    assert_all_calls_are_answered(served.target, tls)


def test_a_certificate_for_another_host_is_not_trusted(authority):
    """Whoever has any certificate of the CA could pretend to be the server."""
    mine = authority.issue("server", hosts=["elsewhere.example"])
    served = Served(guard_of("", str(mine.certificate), str(mine.key)))
    try:
        tls = Tls(authority.certificate)
        with Client(served.target, tls=tls, **TRIED) as client, pytest.raises(UnavailableError):
            client.recommend("s")
    finally:
        served.close()


def serial_of(served, authority):
    """Number of the certificate that a new connection gets."""
    pem = ssl.get_server_certificate(("127.0.0.1", served.port), ca_certs=authority.certificate)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_certificates_are_replaced_under_load_without_a_failed_call(serve, authority):
    """They are, every few weeks or hours; a restart for each would be an outage for each."""
    served, tls = serve()
    outcomes, over = Counter(), threading.Event()

    def call():
        """Recommend, over one connection and over a new one in turn; and by a stream."""
        request = pb.RecommendRequest(session_id="s")
        while not over.is_set():
            try:
                with Client(served.target, tls=tls, timeout_s=LIMIT_S, retries=0) as client:
                    client.recommend("s")
                    list(client.recommend_stream(["s"]))
                served.answers.Recommend(request, timeout=LIMIT_S)
                outcomes["answered"] += 3
            except Exception as e:
                outcomes[repr(e)] += 1

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = {serial_of(served, authority)}
    for _ in range(5):
        before = outcomes["answered"]
        authority.issue("server")
        until(lambda: serial_of(served, authority) not in seen)
        seen.add(serial_of(served, authority))
        until(lambda before=before: outcomes["answered"] > before + 20)
    over.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert set(outcomes) == {"answered"}
    assert len(seen) == 6


def test_the_cas_of_callers_are_replaced_too(serve, authority, tmp_path):
    """Whose CA was removed makes no new connection."""
    served, tls = serve(mutual=True)
    new = Authority(tmp_path, "new")
    caller = new.issue("new-caller")
    theirs = Tls(authority.certificate, caller.certificate, caller.key)
    old_ca = authority.certificate.read_bytes()
    (tmp_path / "kept-ca.pem").write_bytes(old_ca)
    kept = tmp_path / "kept-ca.pem"
    authority.certificate.write_bytes(new.certificate.read_bytes())

    def answered(tls):
        with Client(served.target, tls=tls, **TRIED) as client:
            try:
                return bool(client.recommend("s").items)
            except UnavailableError:
                return False

    until(lambda: answered(Tls(kept, theirs.certificate_file, theirs.key_file)))
    assert not answered(Tls(kept, tls.certificate_file, tls.key_file))


def test_a_torn_key_changes_nothing(serve, authority, tmp_path):
    """Whoever writes the files may be interrupted between them."""
    served, tls = serve()
    before = serial_of(served, authority)
    (tmp_path / "server-key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nMIG")
    until(lambda: watched_files.VALID.labels("certificate")._value.get() == 0)
    assert serial_of(served, authority) == before
    assert_all_calls_are_answered(served.target, tls)
    authority.issue("server")
    until(lambda: watched_files.VALID.labels("certificate")._value.get() == 1)
    assert serial_of(served, authority) != before


def test_a_taken_port_is_told_with_a_certificate_too(serve, authority):
    """As without one."""
    served, _ = serve()
    mine = authority.issue("another")
    guard = guard_of("", str(mine.certificate), str(mine.key))
    settings = ServerSettings(grpc_port=served.port)
    with pytest.raises(SystemExit, match="is the port taken"):
        GrpcServer(settings, served.handlers, lambda: None, guard=guard)


def test_a_stub_without_the_client_sees_the_same(serve, authority):
    """Other languages have gRPC's own credentials."""
    served, _ = serve()
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    with grpc.secure_channel(served.target, credentials) as channel:
        method = channel.unary_unary("/nextclick.v1.RecommendationService/Trending")
        assert method(b"", timeout=LIMIT_S)
