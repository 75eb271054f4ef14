"""Broken messages, metadata and connections on the gRPC port: errors of the caller, and no others.

A case is a call whose message is nearly a request, over one of many paths, with a token or nearly
one; or a connection whose bytes are nearly HTTP/2. Between them, good calls are answered.
"""

import logging
import socket
import struct
from collections import Counter

import grpc
import psutil
import pytest
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from listeners.guard import guard_of
from listeners.tokens import Scope
from nextclick.limits import MAX_MESSAGE_BYTES
from server.transport.methods import METHODS, Lane
from tests.property.fuzz import NoKafka
from tests.property.request_fuzz import RequestFuzz
from tests.tokens import write_tokens
from tests.unit.server.transport.served import LIMIT_S, Served

BUGS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

REQUESTS = 60
"""Valid requests of a method, of which the others are made."""

AT_ONCE = 64
"""Cases between two good calls."""

FLAT_BYTES = 48 << 20
"""What the process may grow by, in which the client is, too; a leak of 50 bytes a case is more."""

CHECK, WATCH = (f"/{health.SERVICE_NAME}/{name}" for name in ("Check", "Watch"))
REFLECTION = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"
STREAMS = {WATCH, REFLECTION, *(m.path for m in METHODS if m.lane is Lane.STREAM)}
OTHERS = [CHECK, WATCH, REFLECTION, "/nextclick.v1.EventService/Unknown", "/", "/x/"]

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TRACES = [f"grpc-status\x01{code}".encode() for code in (2,)] + [
    f"grpc-status\x02{code}".encode() for code in (13, 15)
]
"""What trailers with the codes of `BUGS` look like, the first of a connection."""


FLOW_CONTROL = b"overflows local window"
"""What gRPC says with INTERNAL to a frame beyond HTTP/2's window, whatever we do: so its
specification has it for FLOW_CONTROL_ERROR."""


class PortFuzz(RequestFuzz):
    """Sends cases to a server, and counts the codes that come back."""

    def __init__(self, served, bearer, seed):
        super().__init__(seed)
        self.served, self.bearer = served, bearer
        self.codes = Counter()
        self.sent = {
            method.path: [self.request(method.name) for _ in range(REQUESTS)] for method in METHODS
        } | {path: [b"", b"\x0a\x00", b"\x3a\x01*"] for path in OTHERS}
        self.paths = list(self.sent)

    def message(self, path):
        """Return bytes that are nearly a request; one in 500 may be as large as a message."""
        most = MAX_MESSAGE_BYTES // 4 if self.random.random() < 0.002 else 500
        return self.mutated(self.random.choice(self.sent[path]), most)

    def metadata(self):
        """Return a token, nearly one, or none; and what nobody has asked for."""
        pick = self.random
        header = f"Bearer {self.bearer.token}"
        if pick.random() < 0.2:
            at = pick.randrange(len(header))
            header = pick.choice(
                ["", header[:at], header[:at] + "!" + header[at + 1 :], header * 9]
            )
        more = [
            (f"x-{pick.randrange(9)}", "~" * pick.randrange(200)) for _ in range(pick.randrange(4))
        ]
        if pick.random() < 0.1:
            trace = "".join(pick.choices("0123456789abcdef-", k=55))
            more += [("traceparent", trace), ("grpc-trace-bin", pick.randbytes(20))]
        return [("authorization", header), *more]

    def how(self):
        """Return what else belongs to a call."""
        pick = self.random
        encodings = [grpc.Compression.NoCompression, grpc.Compression.Gzip, None]
        return {
            "timeout": LIMIT_S if pick.random() < 0.99 else pick.choice([0.0, 0.001]),
            "metadata": self.metadata(),
            "compression": pick.choice(encodings),
        }

    def round(self):
        """Send cases at once, each of which ends."""
        calls = []
        for _ in range(AT_ONCE):
            path = self.random.choice(self.paths)
            if path in STREAMS:
                self.codes[self.stream(path)] += 1
            elif self.random.random() < 0.02:
                self.connection(path)
            else:
                method = self.served.channel.unary_unary(path)
                calls.append(method.future(self.message(path), **self.how()))
        for call in calls:
            self.codes[call.code()] += 1

    def stream(self, path):
        """Send a few messages over a stream; returns its code."""
        messages = [self.message(path) for _ in range(self.random.randrange(3))]
        call = self.served.channel.stream_stream(path)(iter(messages), **self.how())
        try:
            for _ in call:
                if path == WATCH:
                    call.cancel()
        except grpc.RpcError:
            pass
        return call.code()

    def connection(self, path):
        """Send bytes that are nearly those of a call over a connection of their own, and end it."""
        raw = self.mutated(HELLO + self.frames(path), 2_000)
        if self.random.random() < 0.7:  # else nothing beyond the first bytes would be tried
            raw = HELLO + raw[len(HELLO) :]
        with socket.create_connection(("127.0.0.1", self.served.port), LIMIT_S) as plain:
            try:
                plain.sendall(raw)
                plain.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: plain.recv(1 << 16), b""))
            except (BrokenPipeError, ConnectionResetError):
                received = b""
        self.codes["connection"] += 1
        for trace in TRACES:
            if trace in received and FLOW_CONTROL not in received:
                self.codes[grpc.StatusCode.INTERNAL] += 1

    def frames(self, path):
        """Return settings, and the frames of a call, some of which no client sends."""
        pick = self.random
        fields = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
            ("content-type", "application/grpc"), ("te", "trailers"),
            ("grpc-timeout", pick.choice(["1S", "99999999H", "-1S", "x"])),
            ("authorization", f"Bearer {self.bearer.token}"),
            ("x", pick.randbytes(8).decode("latin-1")),
        ]  # fmt: skip
        headers = b"".join(b"\x00" + literal(name) + literal(value) for name, value in fields)
        message = self.message(path)[:5_000]
        flag = pick.choice([0, 0, 0, 1, 2, 255])
        size = pick.choice([len(message), 0, 1 << 31])
        return b"".join(
            [
                frame(4, 0, 0, b""),
                frame(1, 4, 1, headers),
                frame(0, pick.choice([0, 1]), 1, struct.pack(">BI", flag, size) + message),
                frame(
                    pick.randrange(12), pick.randrange(256), pick.randrange(4), pick.randbytes(8)
                ),
            ]
        )


def literal(text):
    raw = text.encode("latin-1")[:120]
    return bytes([len(raw)]) + raw


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A guarded server that keeps nothing of what it is sent, and a token for all of it."""
    monkeypatch.setattr("tests.unit.server.transport.served.FakeProducer.put", NoKafka.put)
    monkeypatch.setattr("tests.unit.server.services.shop.NoImpressions.put", lambda *_: None)
    bearers = write_tokens(tmp_path / "tokens.json", all=tuple(Scope))
    served = Served(guard_of(str(tmp_path / "tokens.json"), "", ""))
    yield served, bearers["all"]
    served.close()


@pytest.mark.parametrize(
    "cases", [3_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(14_400)])]
)
def test_whatever_bytes_come_are_the_callers_error(served, cases, caplog, record_property):
    """What ends in an exception is what nobody has thought of; the next may be worse."""
    caplog.set_level(logging.ERROR)
    served, bearer = served
    fuzz, process = PortFuzz(served, bearer, 1), psutil.Process()
    good = served.channel.unary_unary("/nextclick.v1.RecommendationService/Trending")
    rounds, before = cases // AT_ONCE + 1, 0
    for number in range(rounds):
        fuzz.round()
        assert good(b"", timeout=LIMIT_S, metadata=bearer.metadata)
        assert not BUGS & set(fuzz.codes), fuzz.codes
        if number == rounds // 10:
            before = process.memory_info().rss
    grown = process.memory_info().rss - before
    record_property("codes", {str(code): count for code, count in fuzz.codes.items()})
    print(f"{cases:,} cases, grown by {grown >> 20} MiB: {fuzz.codes}")
    assert [record.getMessage() for record in caplog.records] == []
    assert fuzz.codes[grpc.StatusCode.OK] > cases // 100
    assert fuzz.codes[grpc.StatusCode.UNAUTHENTICATED] > cases // 100
    assert fuzz.codes["connection"] > cases // 200
    assert grown < FLAT_BYTES
