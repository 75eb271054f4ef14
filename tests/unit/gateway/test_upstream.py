"""Several servers behind one gateway: all get calls, and one that ends is left in time."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2

from cli.stack.authority import Authority
from gateway import upstream
from gateway.__main__ import credentials
from gateway.upstream import READS
from listeners import watched_files
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.methods import METHODS, Lane
from settings.gateway import GatewaySettings
from tests.unit.gateway.served_gateway import gateway, until
from tests.unit.nextclick.fake_server import Fake, serving


@pytest.fixture
def two():
    """Two servers, and a gateway in front of both."""
    with ExitStack() as ends:
        fakes = [Fake(), Fake()]
        targets = [ends.enter_context(serving(fake)) for fake in fakes]
        running = ends.enter_context(gateway(f"ipv4:{','.join(targets)}"))
        yield fakes, running


def test_servers_take_turns(two):
    """One of them would answer everything."""
    fakes, running = two
    for fake in fakes:
        fake.answers = [pb.RecommendResponse()]
    until(lambda: running.call("recommend", {}).status == 200 and all(f.requests for f in fakes))
    before = [len(fake.requests) for fake in fakes]
    for _ in range(10):
        running.call("recommend", {})
    assert [len(fake.requests) - n for fake, n in zip(fakes, before, strict=True)] == [5, 5]


def test_a_read_is_tried_again_on_another_server(two):
    """Its caller need not notice that a server ends."""
    fakes, running = two
    fakes[0].answers = [grpc.StatusCode.UNAVAILABLE]
    fakes[1].answers = [pb.RecommendResponse(recommendation_id="r")]
    until(lambda: running.call("recommend", {}).status == 200 and all(f.requests for f in fakes))
    for _ in range(10):
        assert running.call("recommend", {}).json["recommendation_id"] == "r"


def test_a_write_is_not_sent_twice(rest, fake):
    """Events without ids would count twice."""
    fake.answers = [grpc.StatusCode.UNAVAILABLE]
    assert rest.call("putEvents", {"events": [{}]}).status == 503
    assert len(fake.requests) == 1


def test_what_is_tried_again_are_reads():
    """The server's own table says which calls write: those that wait for Kafka."""
    services = {entry["service"] for entry in READS if "method" not in entry}
    methods = {(entry["service"], entry["method"]) for entry in READS if "method" in entry}
    for method in METHODS:
        service = method.service.full_name
        repeated = service in services or (service, method.name) in methods
        assert repeated is (method.lane is not Lane.KAFKA)


def test_a_server_that_says_not_serving_gets_no_calls():
    """It is about to end: the calls that it still gets would fail."""
    fake, said = Fake(), health.HealthServicer()
    fake.answers = [pb.RecommendResponse()]
    with serving(fake, health=said) as target, gateway(target) as running:
        assert running.ask("GET", "/healthz").status == 200
        said.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        until(lambda: running.ask("GET", "/healthz").status == 503)
        answer = running.call("recommend", {})
        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        assert fake.requests == []
        said.set("", health_pb2.HealthCheckResponse.SERVING)
        until(lambda: running.ask("GET", "/healthz").status == 200)
        assert running.call("recommend", {}).status == 200


def test_a_server_that_comes_back_is_found(fake):
    """The gateway would have to be started again with every server."""
    fake.answers = [pb.RecommendResponse()]
    with ExitStack() as ends:
        with serving(fake) as target:
            running = ends.enter_context(gateway(target))
            assert running.call("recommend", {}).status == 200
        until(lambda: running.ask("GET", "/healthz").status == 503)
        assert running.call("recommend", {}).json["code"] == "UNAVAILABLE"
        with serving(fake, target):
            until(lambda: running.ask("GET", "/healthz").status == 200)
            assert running.call("recommend", {}).status == 200


@pytest.mark.parametrize("mutual", [False, True])
def test_servers_are_reached_over_tls(fake, tmp_path, mutual):
    """What a page sends would cross the servers' network in plain text."""
    authority = Authority(tmp_path)
    server, own = authority.issue("server"), authority.issue("gateway")
    ca = authority.certificate
    pair = [(server.key.read_bytes(), server.certificate.read_bytes())]
    theirs = grpc.ssl_server_credentials(pair, ca.read_bytes() if mutual else None, mutual)
    more = {"server_ca_file": str(ca)}
    if mutual:
        more |= {"client_certificate_file": str(own.certificate), "client_key_file": str(own.key)}
    fake.answers = [pb.RecommendResponse()]
    with serving(fake, credentials=theirs) as target, gateway(target, **more) as running:
        assert running.call("recommend", {}).status == 200


def mutual(authority):
    """The credentials of a server that asks its callers for certificates of an authority."""
    mine = authority.issue("server")
    pair = [(mine.key.read_bytes(), mine.certificate.read_bytes())]
    return grpc.ssl_server_credentials(pair, authority.certificate.read_bytes(), True)


@pytest.fixture
def install(tmp_path):
    """A function that has the gateway's files be those of an authority; returns their settings."""
    files = {
        "client_certificate_file": tmp_path / "tls.crt",
        "client_key_file": tmp_path / "tls.key",
        "server_ca_file": tmp_path / "ca.crt",
    }

    def install(authority):
        made = (*authority.issue("gateway"), authority.certificate)
        for source, file in zip(made, files.values(), strict=True):
            shutil.copy(source, file)
        return {name: str(file) for name, file in files.items()}

    return install


@pytest.fixture
def soon(monkeypatch):
    """Files, and credentials, are looked at at once."""
    monkeypatch.setattr(watched_files, "EVERY_S", 0.01)
    monkeypatch.setattr(upstream, "LOOK_S", 0.01)


def test_renewed_files_reach_servers_that_take_no_others(fake, tmp_path, install, soon):
    """Once the certificate had expired, every call failed until somebody started it again."""
    before, after = Authority(tmp_path, "before"), Authority(tmp_path, "after")
    fake.answers = [pb.RecommendResponse()]
    with ExitStack() as ends:
        with serving(fake, credentials=mutual(before)) as target:
            running = ends.enter_context(gateway(target, **install(before)))
            assert running.call("recommend", {}).status == 200
        with serving(fake, target, credentials=mutual(after)):
            install(after)
            until(lambda: running.call("recommend", {}).status == 200)
            assert running.ask("GET", "/healthz").status == 200


def test_files_that_no_server_takes_are_not_used(fake, tmp_path, install, soon, monkeypatch):
    """Those before may be good for weeks, in which whoever has replaced them finds out."""
    authority, another = Authority(tmp_path), Authority(tmp_path, "another")
    opened, open_channel = [], grpc.aio.secure_channel

    def counted(*args):
        opened.append(args)
        return open_channel(*args)

    monkeypatch.setattr(grpc.aio, "secure_channel", counted)
    fake.answers = [pb.RecommendResponse()]
    with (
        serving(fake, credentials=mutual(authority)) as target,
        gateway(target, **install(authority)) as running,
    ):
        install(another)
        until(lambda: len(opened) == 2)
        for _ in range(10):
            assert running.call("recommend", {}).status == 200
        install(authority)
        until(lambda: len(opened) == 3)
        assert running.call("recommend", {}).status == 200


def test_files_that_fit_nothing_are_told_at_the_start(tmp_path, install):
    """It would start, and never reach a server."""
    settings = GatewaySettings(**install(Authority(tmp_path)))
    for name, sentence in (
        ("client_key_file", "the second file holds no private key"),
        ("client_certificate_file", "the first file holds no certificate"),
        ("server_ca_file", "the last file holds no certificate of a CA"),
    ):
        Path(getattr(settings, name)).write_text("no PEM")
        with pytest.raises(SystemExit, match=sentence):
            credentials(settings)
    with pytest.raises(SystemExit, match="missing cannot be read"):
        credentials(GatewaySettings(server_ca_file=str(tmp_path / "missing")))
