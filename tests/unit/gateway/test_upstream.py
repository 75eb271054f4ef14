"""Several servers behind one gateway: all get calls, and one that ends is left in time."""

from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health, health_pb2

from cli.stack.authority import Authority
from gateway.upstream import READS
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.methods import METHODS, Lane
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
