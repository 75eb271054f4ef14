"""Traces of calls through a running server: which are traced, and what their spans say."""

import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cli.stack.layout import Ports
from nextclick.v1 import event_service_pb2, model_service_pb2
from nextclick.v1 import recommendation_service_pb2 as pb
from server.__main__ import traces_of
from server.stages import UNTIMED
from server.transport.traces import AT_ONCE, Traces
from settings.load import load
from settings.server import ServerSettings
from tests.unit.server.services.shop import record
from tests.unit.server.transport.served import LIMIT_S, Served, now, until

ROOT = Path(__file__).parents[4]
RECOMMEND = "nextclick.v1.RecommendationService/Recommend"
PUT = "nextclick.v1.EventService/PutEvents"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGES = ["receive", "parse", "lock", "session", "candidates", "rank", "page", "reply", "send"]


def caller(flags="01", trace=TRACE):
    """The metadata of a caller that has a trace, which it samples or not."""
    return (("traceparent", f"00-{trace}-{CALLER}-{flags}"),)


class Traced(Served):
    """A running server that traces this share of the calls into memory."""

    def __init__(self, share=0.0, **more):
        self.exporter = InMemorySpanExporter()
        settings = ServerSettings(traces_share=share, tenant="shop")
        self.traces = Traces(settings, self.exporter)
        super().__init__(stages=self.traces.begin, **more)

    def ask(self, metadata=(), **fields):
        request = pb.RecommendRequest(**fields)
        return self.answers.Recommend(request, timeout=LIMIT_S, metadata=metadata)

    def tree(self, name):
        """The only span of a call, and those below it, in the order of their beginning."""

        def spans(names):
            self.traces._provider.force_flush()
            return [s for s in self.exporter.get_finished_spans() if s.name in names]

        until(lambda: spans([name]))
        if name == RECOMMEND:
            until(lambda: spans(["impression"]))
        [root] = spans([name])
        below = [
            span
            for span in self.exporter.get_finished_spans()
            if span.parent is not None and span.parent.span_id == root.context.span_id
        ]
        return root, sorted(below, key=lambda span: span.start_time)

    def close(self):
        super().close()
        self.traces.close()


@pytest.fixture
def traced():
    made = []

    def make(*args, **kwargs):
        made.append(Traced(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_answer_is_a_span_of_its_callers_trace_with_its_stages_below_it(traced):
    """A slow page is looked at in the shop's own trace, down to the stage that was slow."""
    server = traced()
    server.shop.apply(record("me", ["i4", "i5"]))
    answer = server.ask(caller(), session_id="me", page_size=3)
    root, below = server.tree(RECOMMEND)
    assert f"{root.context.trace_id:032x}" == TRACE
    assert f"{root.parent.span_id:016x}" == CALLER
    assert root.kind is SpanKind.SERVER
    assert dict(root.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": RECOMMEND,
        "rpc.response.status_code": "OK",
        "nextclick.recommendation_id": answer.recommendation_id,
        "nextclick.session_items": 2,
        "nextclick.items": 3,
        "nextclick.degraded": "",
    }
    assert root.resource.attributes["nextclick.tenant"] == "shop"
    *stages, impression = below
    assert [stage.name for stage in stages] == STAGES
    # They follow one another, and leave nothing of the call out.
    assert stages[0].start_time == root.start_time
    assert stages[-1].end_time == root.end_time
    assert all(a.end_time == b.start_time for a, b in pairwise(stages))
    assert impression.name == "impression"
    assert all(span.context.trace_id == root.context.trace_id for span in below)


def test_a_traced_answer_is_the_one_that_others_get(traced):
    """Its kernels are called step by step."""
    server = traced()
    server.shop.apply(record("me", ["i4", "i5"]))
    asked = {"session_id": "me", "page_size": 50}
    followed, plain = server.ask(caller(), **asked), server.ask(**asked)
    assert list(followed.items) == list(plain.items)
    assert len(plain.items) > 20


def test_an_answer_that_waits_for_redis_says_where_it_waited(traced):
    """The wait is on another thread, where the stages must go on."""
    server = traced()
    server.shop.replica.caught_up = False
    server.shop.redis.sessions["me"] = record("me", ["i4"], version=7)
    assert server.ask(caller(), session_id="me").session_version == 7
    root, below = server.tree(RECOMMEND)
    first, then = STAGES[:4], STAGES[2:]
    names = [span.name for span in below if span.name != "impression"]
    assert names == [*first, "wait", "redis", *then]
    assert root.attributes["nextclick.degraded"] == "DEGRADED_REASON_CATCHING_UP"


def test_events_are_a_span_with_the_wait_for_kafka(traced):
    """The acknowledgement is most of the call."""
    server = traced(share=1.0)
    good = {"type": "view", "session_id": "s", "item_id": "a", "timestamp_ms": now()}
    events = [event_service_pb2.Event(**good), event_service_pb2.Event(type="view")]
    server.events.PutEvents(event_service_pb2.PutEventsRequest(events=events), timeout=LIMIT_S)
    root, below = server.tree(PUT)
    assert root.parent is None
    stages = ["receive", "wait", "validate", "kafka", "reply", "send"]
    assert [span.name for span in below] == stages
    assert root.attributes["nextclick.events"] == 2
    assert root.attributes["nextclick.events.accepted"] == 1


def test_a_method_without_stages_of_its_own_is_traced_as_a_whole(traced):
    """Whoever adds a method gets its traces."""
    server = traced(share=1.0)
    server.models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S)
    _, below = server.tree("nextclick.v1.ModelService/ListModels")
    assert [span.name for span in below] == ["receive", "wait", "answer", "send"]


def test_a_failure_is_in_the_trace_and_in_the_log_under_its_id(traced, monkeypatch, caplog):
    """The caller's error, the line of the log and the trace must be found from each other."""
    server = traced()
    monkeypatch.setattr(server.shop.replica.engine, "recommend", lambda *args: 1 / 0)
    with pytest.raises(grpc.RpcError) as error:
        server.ask(caller(), session_id="me")
    until(lambda: server.traces._provider.force_flush() and server.exporter.get_finished_spans())
    root = server.exporter.get_finished_spans()[-1]
    assert root.status.status_code is StatusCode.ERROR
    assert root.attributes["rpc.response.status_code"] == "INTERNAL"
    [line] = [line for line in caplog.records if "Recommend failed" in line.getMessage()]
    assert line.trace == TRACE
    assert line.request in error.value.details()


def test_a_mistake_of_the_caller_is_no_error_of_the_server(traced):
    """It would raise the share of errors that somebody is woken for."""
    server = traced()
    with pytest.raises(grpc.RpcError):
        server.ask(caller(), page_size=9_999)
    until(lambda: server.traces._provider.force_flush() and server.exporter.get_finished_spans())
    root = server.exporter.get_finished_spans()[-1]
    assert root.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert root.status.status_code is StatusCode.UNSET


METADATA = [
    ((), 0.0, False),
    ((), 1.0, True),
    (caller("00"), 1.0, False),
    (caller("01"), 0.0, True),
    (caller("03"), 0.0, True),
    (caller("01", "0" * 32), 0.0, False),
    ((("traceparent", "no such thing"),), 0.0, False),
    ((("traceparent", "no such thing"),), 1.0, True),
    ((*caller(), *caller("00")), 0.0, False),
    ((*caller(), ("tracestate", ",=;" * 999)), 0.0, True),
    ((*caller(), ("other-bin", b"\xff\x00")), 0.0, True),
]


@pytest.mark.parametrize(("metadata", "share", "traced"), METADATA)
def test_the_caller_decides_and_otherwise_the_share(metadata, share, traced):
    """A trace that lacks spans in its middle misleads; and no header may end the lane."""
    traces = Traces(ServerSettings(traces_share=share), InMemorySpanExporter())
    stages = traces.begin(f"/{RECOMMEND}".encode(), metadata)
    assert (stages is not UNTIMED) == traced
    assert bool(stages.trace_id) == traced
    traces.close()


def test_health_checks_are_not_traced():
    """A load balancer's checks would be most of the traces."""
    traces = Traces(ServerSettings(traces_share=1.0), InMemorySpanExporter())
    assert traces.begin(b"/grpc.health.v1.Health/Check", caller()) is UNTIMED
    traces.close()


class Receiver(BaseHTTPRequestHandler):
    """Takes what is exported, as a collector does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append((self.path, body))
        self.send_response(self.server.code)
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.bodies, server.code = [], 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_spans_reach_a_receiver_of_otlp_also_the_last_ones(receiver, monkeypatch):
    """What was traced just before a shutdown is often what one wants to see."""
    monkeypatch.setenv("NEXTCLICK_TRACES_URL", f"http://127.0.0.1:{receiver.server_port}/v1/traces")
    monkeypatch.setenv("NEXTCLICK_TENANT", "shop")
    traces = traces_of(load(ServerSettings))
    stages = traces.begin(f"/{RECOMMEND}".encode(), caller())
    stages.enter("parse")
    stages.end(0)
    traces.close()
    [(path, body)] = receiver.bodies
    assert path == "/v1/traces"
    [spans] = ExportTraceServiceRequest.FromString(body).resource_spans
    about = {a.key: a.value.string_value for a in spans.resource.attributes}
    assert about["nextclick.tenant"] == "shop"
    assert about["service.name"] == "nextclick-server"
    [scope] = spans.scope_spans
    assert [span.name for span in scope.spans] == ["receive", "parse", RECOMMEND]
    assert {span.trace_id.hex() for span in scope.spans} == {TRACE}


@pytest.fixture
def exports(caplog):
    """The lines of the log about exports, as a process has them that has just been started."""
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    before, logger.filters = logger.filters, []
    yield lambda: [r.getMessage() for r in caplog.records if r.name == logger.name]
    logger.filters = before


def spans_to(url, number):
    """Traces that have this number of spans for a receiver."""
    traces = Traces(ServerSettings(traces_url=url))
    for _ in range(number):
        traces.begin(f"/{RECOMMEND}".encode(), caller()).end(0)
    return traces


def test_a_receiver_that_takes_no_spans_does_not_fill_the_log(receiver, exports):
    """A token that has expired at the vendor's would be 20 lines a second, for weeks."""
    receiver.code = 401
    spans_to(f"http://127.0.0.1:{receiver.server_port}/v1/traces", 4 * AT_ONCE).close()
    assert len(receiver.bodies) > 1
    [line] = exports()
    assert "401" in line


def test_a_receiver_that_is_away_is_told_without_its_url(exports):
    """It may have the vendor's key in it, and everybody reads logs."""
    away = spans_to(f"http://127.0.0.1:{Ports.free().http}/v1/traces?key=marked", 1)
    until(exports)
    away.close()
    [line] = exports()
    assert "ConnectionError" in line
    assert "marked" not in line


def test_what_is_switched_off_is_not_even_loaded():
    """The packages are optional, and loading them takes memory and a start longer."""
    code = (
        "import sys; from server.__main__ import traces_of; from settings.server import "
        "ServerSettings; assert traces_of(ServerSettings()) is None; "
        "sys.exit(str([m for m in sys.modules if m.startswith('opentelemetry')]))"
    )
    argv = [sys.executable, "-c", code]
    ran = subprocess.run(
        argv, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert ran.stderr == "[]\n"


def test_without_its_packages_the_server_says_what_to_install(monkeypatch):
    """A traceback would name a module that no documentation of ours does."""
    monkeypatch.delitem(sys.modules, "server.transport.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(SystemExit, match=r"NEXTCLICK_TRACES_URL.*nextclick\[tracing\]"):
        traces_of(ServerSettings(traces_url="http://127.0.0.1:4318/v1/traces"))


@pytest.mark.parametrize("url", ["collector:4318", "http://collector:4318", "grpc://c:4317/x"])
def test_an_address_that_no_receiver_has_is_refused(monkeypatch, url):
    """The spans would be dropped one export after the other, with a line in the log for each."""
    monkeypatch.setenv("NEXTCLICK_TRACES_URL", url)
    with pytest.raises(SystemExit, match=r"NEXTCLICK_TRACES_URL: .*4318/v1/traces"):
        load(ServerSettings)
