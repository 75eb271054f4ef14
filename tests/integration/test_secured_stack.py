"""A secured stack without its jobs: real Kafka and Redis, and servers with and without TLS."""

import time

import pytest

from cli.errors import CommandError
from cli.live.further_server import further_server
from cli.server_client import client_of
from cli.stack import apps, kafka, redis, secured_kafka, topics
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from cli.stack.secured import secure
from cli.stack.stack import Stack
from nextclick import Client, Event, PermissionDeniedError, UnavailableError
from settings.client import ClientSettings
from settings.load import load

LIMIT_S = 60


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Its Kafka, its Redis and its server run; this process has the token and the certificates."""
    try:
        redis.program_with_tls()
    except CommandError as e:
        pytest.skip(str(e))
    home, ports = Home(tmp_path), Ports.free()
    for name, value in secure(home).items():
        monkeypatch.setenv(name, value)
    children = [redis.start(home, ports, bound=True), kafka.start(home, ports, bound=True)]
    try:
        redis.wait(home, ports, children[0])
        kafka.wait(home, ports, children[1])
        owner = kafka.settings_of(home, ports, secured_kafka.BROKER)
        secured_kafka.grant(kafka.admin_client(owner))
        topics.create(kafka.admin_client(kafka.settings_of(home, ports)))
        children.append(apps.start_server(home, ports, bound=True))
        apps.wait_serving(home, ports, children[-1])
        yield Stack(home, ports, bound=True)
    finally:
        stop(children)


def test_its_server_answers_those_alone_who_have_a_certificate_and_a_token(stack):
    """The demo would show the security of a part of it."""
    click = Event("view", "a", int(time.time() * 1000), session_id="s")
    with client_of(stack.target, load(ClientSettings), LIMIT_S) as client:
        assert client.put_events([click]).accepted == 1
        client.recommend("s")
        with pytest.raises(PermissionDeniedError):
            client.list_models()
    with (
        Client(stack.target, timeout_s=LIMIT_S, retries=0) as client,
        pytest.raises(UnavailableError),
    ):
        client.recommend("s")
    assert apps.server_status(stack.ports)["state"] == "SERVING"
    log = stack.home.log("server").read_text()
    assert "Redis:" not in log
    assert "Kafka:" not in log


def test_a_plain_server_reads_the_same_log(stack):
    """There would be nothing to compare the answers with."""
    plain = further_server(stack, "plain", apps.UNGUARDED)
    with plain as target, Client(target, timeout_s=LIMIT_S) as client:
        client.recommend("s")
