"""The gateway as a process: its start, its metrics, and its end."""

import signal
import threading

import pytest

from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.process import gateway_process, page, start
from tests.unit.gateway.served_gateway import LIMIT_S, gateway
from tests.unit.nextclick.fake_server import serving

PROGRAMS = {"module": ("-m", "gateway"), "command": ("-m", "cli", "gateway")}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_answers_tells_its_metrics_and_ends_when_asked(fake, program):
    """As compose and Kubernetes start and end it: calls in flight finish first."""
    called, go_on = threading.Event(), threading.Event()

    def answer(_):
        called.set()
        assert go_on.wait(LIMIT_S)
        return pb.TrendingResponse()

    fake.answers = [answer]
    answers = []
    with serving(fake) as target, gateway_process(target, program) as (process, rest, http_port):
        caller = threading.Thread(target=lambda: answers.append(rest.call("trending", {})))
        caller.start()
        assert called.wait(LIMIT_S)
        _, text = page(http_port, "/metrics")
        assert 'nextclick_info{role="gateway",tenant="",version=' in text
        assert "nextclick_gateway_connections 1.0" in text
        assert "nextclick_gateway_ready 1.0" in text
        process.send_signal(signal.SIGTERM)
        go_on.set()
        caller.join(LIMIT_S)
        assert process.wait(LIMIT_S) == 0
        assert answers[0].status == 200
        log = process.stderr.read()
    assert '"role": "gateway"' in log
    assert "Traceback" not in log


def test_metrics_are_not_where_pages_reach(rest):
    """They tell a competitor how many visitors there are."""
    assert rest.ask("GET", "/metrics").status == 404


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": "many"}, "NEXTCLICK_GATEWAY_PORT: "),
        ({"origins": "shop"}, "NEXTCLICK_GATEWAY_ORIGINS: shop is no origin such as https://"),
        *(
            ({"origins": origin}, f"NEXTCLICK_GATEWAY_ORIGINS: {origin} is no origin such as")
            for origin in (
                "https://",
                "https://Shop.example",
                "https://shop.example:443",
                "https://*.example",
                "https://me@shop.example",
            )
        ),
        ({"target": "10.0.0.1:1,10.0.0.2:1"}, "NEXTCLICK_GATEWAY_TARGET: a list of addresses beg"),
        ({"public_token_file": "/none"}, "NEXTCLICK_GATEWAY_PUBLIC_TOKEN_FILE: /none: No such"),
        ({"public_token_file": "/dev/null"}, "NEXTCLICK_GATEWAY_PUBLIC_TOKEN_FILE: /dev/null is"),
        ({"public_token_file": __file__}, f"NEXTCLICK_GATEWAY_PUBLIC_TOKEN_FILE: {__file__} is no"),
        ({"server_ca_file": "/none"}, "/none cannot be read: No such file"),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:8090: "),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_line(settings, said):
    """An operator would read a traceback of a library."""
    process = start(**settings)
    _, text = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert text.strip().splitlines()[-1].startswith(said)
    assert "Traceback" not in text


def test_a_port_that_is_taken_is_named_with_the_setting(rest, fake):
    """Two gateways on one port would share the calls without a word."""
    process = start(port=rest.port)
    _, text = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{rest.port}: Address already in use" in text
    assert "NEXTCLICK_GATEWAY_PORT" in text


def test_ipv6_is_listened_on(fake):
    """Clusters without IPv4 exist."""
    with serving(fake) as target, gateway(target, gateway_host="::1") as running:
        assert running.ask("GET", "/healthz").body == b"ok"
