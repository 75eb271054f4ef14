"""REST over TLS, by the certificate as it is when a connection is made."""

import http.client
import shutil
import socket
import ssl

import pytest

from cli.stack.authority import Authority
from listeners.guard import guard_of
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.served_gateway import LIMIT_S, gateway
from tests.unit.nextclick.fake_server import serving


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def context(authority):
    return ssl.create_default_context(cafile=authority.certificate)


@pytest.fixture
def install(authority, tmp_path):
    """A function that puts a new certificate and its key where the gateway looks for them."""
    files = [tmp_path / "mine.pem", tmp_path / "mine-key.pem"]

    def install(name):
        for made, file in zip(authority.issue(name), files, strict=True):
            shutil.copy(made, file)
        return map(str, files)

    return install


def serial(port, context):
    """The number of the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert()["serialNumber"]


def test_calls_go_over_tls_and_no_other_way(fake, context, install):
    """A token would cross the network for everybody to read."""
    fake.answers = [pb.RecommendResponse()]
    with serving(fake) as target, gateway(target, guard_of("", *install("a"))) as running:
        calls = http.client.HTTPSConnection(
            "localhost", running.port, timeout=LIMIT_S, context=context
        )
        calls.request("POST", "/v1/recommend", b"{}", {"content-type": "application/json"})
        assert calls.getresponse().status == 200
        calls.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            running.call("recommend", {})


def test_a_replaced_certificate_is_that_of_the_next_connection(fake, context, install):
    """The one before expires while the process runs."""
    guard = guard_of("", *install("a"))
    with serving(fake) as target, gateway(target, guard) as running:
        before = serial(running.port, context)
        assert serial(running.port, context) == before
        install("b")
        guard.certificate.refresh()
        assert serial(running.port, context) != before
