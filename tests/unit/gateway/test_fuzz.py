"""Requests of all kinds to the gateway in front of the real server: none of them is its fault."""

import http.client
import random

import psutil
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.unit.gateway.process import gateway_process
from tests.unit.gateway.served_gateway import LIMIT_S
from tests.unit.server.transport.served import Served

CHECKS = [
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]

OURS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
"""Codes that say that the server, or the gateway, is at fault."""

BODIES = (
    b'{"session_id": "t1", "page_size": 3, "filter": {"categories": ["a"], "exclude_seen": true}}',
    b'{"requests": [{"session_id": "t1"}, {"user_id": "u", "session_items": ["i1", "i2"]}]}',
    b'{"events": [{"type": "view", "session_id": "s", "item_id": "i1", "timestamp_ms": "1"}]}',
    b'{"items": [{"item_id": "i1", "available": false, "attributes": {"brand": "x"}}]}',
    b'{"item_ids": ["i1", "i2"], "session_id": "t1"}',
    b'{"users": [{"user_id": "u", "segments": ["a"], "attributes": {"b": "c"}, "consent": false}]}',
    b'{"session_id": "t1", "user_id": "u", "context": {"device": "mobile", "country": "DE"}}',
    b'{"model": "ranker", "version": 1}',
)
WORDS = (b"null", b"[]", b"{}", b"-1", b"1e400", b'"\\u0000"', b'"\\ud800"', b"[[", b"\xff", b"")


@pytest.fixture(scope="module")
def running():
    """The gateway's process, and where it listens, in front of a real server in this process."""
    served = Served()
    served.server.set_serving(True)
    with gateway_process(f"127.0.0.1:{served.port}") as (process, rest, _):
        yield psutil.Process(process.pid), rest
    served.close()


def fuzz(rest, cases):
    """Send cases that schemathesis makes of the document, valid ones and others."""
    schema = schemathesis.openapi.from_url(f"{rest.url}/openapi.json")
    session = requests.Session()
    made = schema.as_strategy(GenerationMode.POSITIVE) | schema.as_strategy(GenerationMode.NEGATIVE)

    @seed(0)
    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=HealthCheck)
    @given(case=made)
    def send(case):
        response = case.call(session=session, timeout=LIMIT_S)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code != 500
        if response.status_code != 200:
            assert response.json()["code"] not in OURS

    send()


def test_no_case_of_schemathesis_is_the_servers_fault(running):
    """What a client sends by mistake must not look like a failure of the server."""
    _, rest = running
    fuzz(rest, 300)


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_ten_thousand_cases_leave_memory_as_it_was(running):
    """As above; what a request leaves behind would end the process one day."""
    process, rest = running
    fuzz(rest, 5_000)
    before = process.memory_info().rss
    fuzz(rest, 5_000)
    assert process.memory_info().rss < 1.1 * before


def mutated(body, rng):
    """Return a body in which some bytes are others, are gone, or are followed by a word."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body) + 1)
        end = at + rng.choice((0, 1, 1, 5))
        body = body[:at] + rng.choice((rng.randbytes(1), *WORDS)) + body[end:]
    return body


def send_bytes(rest, cases):
    """Send mutated bodies, and headers with any bytes, to all calls in turn."""
    rng = random.Random(0)
    paths = [path for path in schema_of(rest)["paths"] for _ in BODIES]
    connection = http.client.HTTPConnection(rest.host, rest.port, timeout=LIMIT_S)
    codes = set()
    for number in range(cases):
        body = mutated(rng.choice(BODIES), rng)
        name = rng.choice(("authorization", "traceparent", "content-type", "grpc-timeout", "x"))
        value = bytes(rng.choice(b"\t !a1;=/\x80\xff") for _ in range(rng.randrange(6)))
        headers = {name: value} if rng.random() < 0.1 else {}
        connection.request("POST", paths[number % len(paths)], body, headers)
        response = connection.getresponse()
        said = response.read()
        assert response.status != 500, (body, headers, said)
        assert not any(code.encode() in said for code in OURS), (body, headers, said)
        codes.add(response.status)
    connection.close()
    return codes


def schema_of(rest):
    return rest.ask("GET", "/openapi.json").json


def test_no_bytes_are_the_servers_fault(running):
    """The same for requests that no client would make."""
    _, rest = running
    assert {200, 400} <= send_bytes(rest, 2_000)


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_many_bytes_leave_memory_as_it_was(running):
    """As above."""
    process, rest = running
    send_bytes(rest, 100_000)
    before = process.memory_info().rss
    send_bytes(rest, 100_000)
    assert process.memory_info().rss < 1.1 * before
