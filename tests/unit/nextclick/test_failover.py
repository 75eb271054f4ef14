"""Both clients with several servers: which of them is asked, and when another one is."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2

import nextclick
from cli.stack.authority import Authority
from nextclick import channel
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.command import ENVIRONMENT
from tests.unit.nextclick.every_call import EVERY_CALL, METHODS, empty_response
from tests.unit.nextclick.fake_server import Fake, serving
from tests.unit.nextclick.name_server import naming

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

READS = {name for name in METHODS if name.startswith("RecommendationService/")} | {
    "CatalogService/GetItems",
    "FeatureService/GetFeatures",
    "FeatureService/ListFeatures",
    "ModelService/ListModels",
    "UserService/GetProfiles",
    "UserService/GetUsers",
}
"""The methods that change nothing."""


class Farm:
    """Two servers that answer with their own number, and say whether they are SERVING."""

    def __init__(self, stack: ExitStack) -> None:
        self.fakes = Fake(), Fake()
        self.health = [health.HealthServicer() for _ in self.fakes]
        self.stops = [ExitStack() for _ in self.fakes]
        targets = []
        for number, (fake, stop) in enumerate(zip(self.fakes, self.stops, strict=True)):
            fake.answers = [pb.TrendingResponse(model_version=number)]
            self.health[number].set("", SERVING)
            targets.append(stop.enter_context(serving(fake, health=self.health[number])))
            stack.enter_context(stop)
        self.target = ",".join(targets)


class Wire:
    """Passes on what comes over TCP to a server and back, until it is to fall silent."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.silent = threading.Event()
        self._open = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=ends))
                    self._threads[-1].start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not self.silent.is_set():
                    sink.sendall(data)

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()


@pytest.fixture
def farm() -> Iterator[Farm]:
    with ExitStack() as stack:
        yield Farm(stack)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline


def test_calls_go_to_all_servers_of_a_list(client_type: Any, farm: Farm) -> None:
    """If it failed, the second server would idle while the first one is full."""
    with client_type(farm.target, timeout_s=60.0) as client:
        seen = set()
        _until(lambda: seen.add(client.trending().model_version) or seen == {0, 1})


def test_a_server_that_goes_is_not_missed(client_type: Any, farm: Farm) -> None:
    """If it failed, a server's end would be an outage, or half of one."""
    with client_type(farm.target, timeout_s=60.0) as client:
        _until(lambda: client.trending().model_version == 0)
        farm.stops[0].close()
        assert {client.trending().model_version for _ in range(100)} <= {1}


def test_a_server_that_is_not_serving_gets_no_calls(client_type: Any, farm: Farm) -> None:
    """If it failed, a server that catches up would give its answers of less quality."""
    with client_type(farm.target, timeout_s=60.0) as client:
        _until(lambda: client.trending().model_version == 0)
        farm.health[0].set("", NOT_SERVING)
        _until(lambda: {client.trending().model_version for _ in range(20)} == {1})
        farm.health[0].set("", SERVING)
        _until(lambda: client.trending().model_version == 0)


def test_one_server_is_asked_whether_it_is_serving_or_not(client_type: Any, farm: Farm) -> None:
    """If it failed, a lone server that catches up would be an outage."""
    farm.health[0].set("", NOT_SERVING)
    with client_type(farm.target.split(",")[0], timeout_s=60.0) as client:
        assert client.trending().model_version == 0


def test_servers_of_a_list_are_known_by_their_common_name(
    client_type: Any, fake: Fake, tmp_path: Path
) -> None:
    """If it failed, there would be no failover over TLS: gRPC takes a list for one long name."""
    authority = Authority(tmp_path)
    files = authority.issue("server", hosts=["servers.example"])
    pair = files.key.read_bytes(), files.certificate.read_bytes()
    credentials = grpc.ssl_server_credentials([pair])
    fake.answers = [pb.TrendingResponse(model_version=7)]
    with (
        serving(fake, credentials=credentials) as one,
        serving(fake, credentials=credentials) as two,
    ):
        target = f"{one},{two}"
        with pytest.raises(nextclick.InvalidRequestError, match=r"Tls\(\.\.\., server_name=\)"):
            client_type(target, tls=nextclick.Tls(authority.certificate))
        tls = nextclick.Tls(authority.certificate, server_name="servers.example")
        with client_type(target, tls=tls, timeout_s=60.0) as client:
            assert client.trending().model_version == 7


def test_a_server_at_a_new_address_is_found(client_type: Any, fake: Fake) -> None:
    """If it failed, clients would know none of the servers that a rolling restart has made."""
    fake.answers = [pb.TrendingResponse(model_version=0)]
    other = Fake()
    other.answers = [pb.TrendingResponse(model_version=1)]
    with ExitStack() as first, naming(["127.0.0.1"]) as names:
        port = first.enter_context(serving(fake)).rpartition(":")[2]
        target = f"dns://127.0.0.1:{names.port}/shop.test:{port}"
        # gRPC's own 30 s between two look-ups would be too long.
        with (
            serving(other, f"127.0.0.2:{port}"),
            client_type(target, timeout_s=20.0, retries=1_000) as client,
        ):
            assert client.trending().model_version == 0
            names.addresses = ["127.0.0.2"]
            first.close()
            assert client.trending().model_version == 1


@pytest.mark.parametrize("hedge_after_s", [None, 30.0])
def test_a_server_that_is_back_is_asked_at_once(
    client_type: Any, hedge_after_s: float | None
) -> None:
    """If it failed, calls to a lone server would fail for 5 s after each of its restarts."""
    with _other_process("127.0.0.1:0") as target:
        client = client_type(target, timeout_s=60.0, hedge_after_s=hedge_after_s)
        client.trending()
    with client:
        with pytest.raises(nextclick.UnavailableError):
            client.trending()
        with _other_process(target):
            client.trending()


@contextmanager
def _other_process(address: str) -> Iterator[str]:
    """Run a server in a process of its own: one in ours would have our connections get on."""
    argv = [sys.executable, "-c", SERVER, address]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, env=ENVIRONMENT, text=True, **pipes) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


SERVER = """
import sys
from nextclick.v1.recommendation_service_pb2 import TrendingResponse
from tests.unit.nextclick.fake_server import Fake, serving

fake = Fake()
fake.answers = [TrendingResponse()]
with serving(fake, sys.argv[1]) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def test_a_server_that_falls_silent_is_left(
    client_type: Any, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it failed, a machine that lost its power would take calls until TCP gives it up."""
    pings = ("keepalive_time_ms", "keepalive_timeout_ms", "http2.ping_timeout_ms")
    hasty = {f"grpc.{name}": 1_000 for name in pings}
    assert hasty.keys() <= dict(channel.CHANNEL_OPTIONS).keys()
    options = tuple({**dict(channel.CHANNEL_OPTIONS), **hasty}.items())
    monkeypatch.setattr(channel, "CHANNEL_OPTIONS", options)
    first, second = farm.target.split(",")
    with (
        Wire(first) as wire,
        client_type(f"{wire.target},{second}", timeout_s=60.0) as client,
    ):
        _until(lambda: client.trending().model_version == 0)
        wire.silent.set()
        assert {client.trending().model_version for _ in range(20)} == {1}


def test_a_read_that_takes_long_is_asked_elsewhere(client_type: Any, farm: Farm) -> None:
    """If it failed, a server that hangs would hold each second page until its deadline."""
    released, left = threading.Event(), threading.Event()

    def slow(context: grpc.ServicerContext) -> pb.TrendingResponse:
        context.add_callback(left.set)
        released.wait(60)
        return pb.TrendingResponse()

    with client_type(farm.target, timeout_s=60.0, hedge_after_s=0.01) as client:
        _until(lambda: bool(client.trending() and all(fake.requests for fake in farm.fakes)))
        farm.fakes[0].answers = [slow]
        asked = len(farm.fakes[0].requests)
        _until(lambda: client.trending().model_version == 1 and len(farm.fakes[0].requests) > asked)
        # Nobody waits for the slow one any more.
        assert left.wait(60)
    released.set()


@pytest.mark.parametrize(
    "name", sorted(set(EVERY_CALL) - {"RecommendationService/StreamRecommend"})
)
def test_only_reads_are_sent_twice(client_type: Any, fake: Fake, name: str) -> None:
    """If it failed, a slow broker would get each write twice, or reads would never be hedged."""
    asked, twice, released = threading.Event(), threading.Event(), threading.Event()
    answered = empty_response(name)

    def slow(_: grpc.ServicerContext) -> Any:
        asked.set()
        if len(fake.requests) > 1:
            twice.set()
        (twice if name in READS else released).wait(60)
        return answered

    fake.answers = [slow]
    with serving(fake) as target:
        client = client_type(target, timeout_s=60.0, retries=1, hedge_after_s=0.01)
        calling = threading.Thread(target=EVERY_CALL[name], args=[client])
        calling.start()
        assert asked.wait(60)
        if name not in READS:
            _hedged_meanwhile(client_type)
            released.set()
        calling.join(60)
        assert not calling.is_alive()
        client.__exit__()
    assert len(fake.requests) == (2 if name in READS else 1)


def _hedged_meanwhile(client_type: Any) -> None:
    """Wait until a read that begins now has been hedged: what was to be by then, is."""
    fake, twice = Fake(), threading.Event()

    def slow(_: grpc.ServicerContext) -> pb.TrendingResponse:
        if len(fake.requests) > 1:
            twice.set()
        twice.wait(60)
        return pb.TrendingResponse()

    fake.answers = [slow]
    with (
        serving(fake) as target,
        client_type(target, timeout_s=60.0, hedge_after_s=0.05) as client,
    ):
        client.trending()


def test_an_attempt_that_fails_leaves_the_others(client_type: Any, fake: Fake) -> None:
    """If it failed, asking twice would fail where asking once would not."""
    failed = threading.Event()

    def slow(_: grpc.ServicerContext) -> pb.TrendingResponse:
        failed.wait(60)
        return pb.TrendingResponse(model_version=7)

    def down(context: grpc.ServicerContext) -> None:
        context.add_callback(failed.set)
        context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    fake.answers = [slow, down]
    with (
        serving(fake) as target,
        client_type(target, timeout_s=60.0, retries=1, hedge_after_s=0.01) as client,
    ):
        assert client.trending().model_version == 7
    assert len(fake.requests) == 2


def test_errors_are_those_of_a_call_that_is_not_hedged(client_type: Any, fake: Fake) -> None:
    """If it failed, a caller who hedges would have other errors to handle."""
    with (
        serving(fake) as target,
        client_type(target, timeout_s=60.0, retries=2, hedge_after_s=30.0) as client,
    ):
        fake.answers = [grpc.StatusCode.UNAVAILABLE, pb.TrendingResponse(model_version=7)]
        assert client.trending().model_version == 7
        fake.answers = [grpc.StatusCode.UNAVAILABLE]
        with pytest.raises(nextclick.UnavailableError):
            client.trending()
        assert len(fake.requests) == 2 + 3
        fake.answers = [grpc.StatusCode.NOT_FOUND]
        with pytest.raises(nextclick.NotFoundError):
            client.similar_items("a")
        assert len(fake.requests) == 2 + 3 + 1


def test_a_hedged_read_keeps_its_deadline(client_type: Any, fake: Fake) -> None:
    """If it failed, each attempt would have the whole time again."""
    released = threading.Event()
    fake.answers = [lambda _: released.wait(60)]
    with (
        serving(fake) as target,
        client_type(target, timeout_s=0.5, hedge_after_s=0.01) as client,
        pytest.raises(nextclick.DeadlineExceededError),
    ):
        client.trending()
    released.set()
    assert len(fake.requests) <= 4


def test_targets_are_lists_of_addresses_or_one_name() -> None:
    """If it failed, gRPC would look up a list as one name, and say that there is no such host."""
    assert channel.address("shop.example:50051") == "shop.example:50051"
    assert channel.address("10.0.0.1:50051,10.0.0.2:50052") == "ipv4:10.0.0.1:50051,10.0.0.2:50052"
    assert channel.address("[::1]:50051,[::2]:50051") == "ipv6:[::1]:50051,[::2]:50051"
    for wrong in ("a:50051,b:50051", "10.0.0.1,10.0.0.2", "10.0.0.1:1,[::1]:1", "10.0.0.1:1,"):
        with pytest.raises(nextclick.InvalidRequestError, match="one name"):
            channel.address(wrong)
