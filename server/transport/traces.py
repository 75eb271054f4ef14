"""Traces: a span for a sampled call, and one below it for each of its stages.

Only imported where traces are switched on, since the packages of OpenTelemetry are optional. The
stock instrumentation of gRPC would see no call of the fast lane. A traced call notes times, and its
spans are made of them once its reply has been sent; a thread of its own, of ordinary priority,
exports them as OTLP over HTTP. (Over gRPC, they would pass through the threads that answers wait
for.)
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version

from google.rpc import code_pb2
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.stages import UNTIMED, Fact, Stages, Untimed, clock_ns
from server.transport.methods import METHODS, Lane
from settings.server import ServerSettings

MOST_WAITING = 2_048
"""Spans that may wait for their export, some 200 traces; more are dropped."""

AT_ONCE = 64
"""Spans in one export. Encoding one takes 20 us, in which no answer has the interpreter."""

EVERY_S = 1.0
"""Longest time until spans are exported."""

EXPORT_S = 5.0
"""Longest time that one export takes, with its retries."""

CLOSE_S = 2.0
"""Longest time for the export of what is left on shutdown."""

COMPLAIN_S = 60.0
"""Shortest time between two lines of the log about exports that fail: there are dozens a second."""

FAULTS = {
    code_pb2.UNKNOWN,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.UNIMPLEMENTED,
    code_pb2.INTERNAL,
    code_pb2.UNAVAILABLE,
    code_pb2.DATA_LOSS,
}
"""Codes that are errors of a server, by the conventions of OpenTelemetry."""

Metadata = Sequence[tuple[str, str | bytes]]


class Traces:
    """Decides which calls are traced, and exports their spans.

    A call with a ``traceparent`` (W3C Trace Context) is traced if its caller traces it; of the
    others, a share is.

    Parameters
    ----------
    settings
        Share, receiver and tenant.
    exporter
        Gets the spans; None: one that sends them to the receiver.
    """

    def __init__(self, settings: ServerSettings, exporter: SpanExporter | None = None) -> None:
        exporter = exporter or _exporter(settings.traces_url)
        release = version("nextclick")
        about = {
            "service.name": "nextclick-server",
            "service.version": release,
            "nextclick.tenant": settings.tenant,
        }
        # `begin` has decided: asking a sampler would cost every call that is not traced 8 us.
        self._provider = TracerProvider(ALWAYS_ON, Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, MOST_WAITING, 1_000 * EVERY_S, AT_ONCE)
        )
        self._tracer = self._provider.get_tracer("nextclick", release)
        self._share = settings.traces_share
        self._names = {
            method.path.encode(): method.path[1:]
            for method in METHODS
            if method.lane is not Lane.STREAM
        }
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, path: bytes, metadata: Metadata) -> Untimed:
        """Return the stages of a new call, `UNTIMED` if it is not traced."""
        name = self._names.get(path)
        if name is None:
            return UNTIMED
        context = Context()
        for key, _ in metadata:
            if key == "traceparent":
                context = self._propagator.extract(dict(metadata))
                break
        caller = get_current_span(context).get_span_context()
        traced = caller.trace_flags.sampled if caller.is_valid else random.random() < self._share
        return Trace(self._tracer, name, context) if traced else UNTIMED

    def close(self) -> None:
        """Export what is left, in bounded time."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)


def _exporter(url: str) -> SpanExporter:
    """Return what sends spans to a receiver."""
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_SeldomAndWithoutTexts())
    return OTLPSpanExporter(url, timeout=EXPORT_S)


class _SeldomAndWithoutTexts(logging.Filter):
    """Lets through a line now and then, which tells errors by their types.

    Their texts have the receiver's URL, in which there may be a password.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + COMPLAIN_S
        if isinstance(record.args, tuple):
            record.args = tuple(
                type(value).__name__ if isinstance(value, Exception) else value
                for value in record.args
            )
        return True


class Trace(Stages):
    """The stages of a call that is traced."""

    __slots__ = ("_epoch_ns", "_span", "_tracer", "facts", "trace_id")

    def __init__(self, tracer: Tracer, name: str, context: Context) -> None:
        began_ns = clock_ns()
        super().__init__("receive", began_ns)
        self._tracer = tracer
        self._epoch_ns = time.time_ns() - began_ns
        self._span: Span = tracer.start_span(
            name, context, SpanKind.SERVER, start_time=self._epoch_ns + began_ns
        )
        self.trace_id = format_trace_id(self._span.get_span_context().trace_id)
        self.facts: dict[str, Fact] = {"rpc.system.name": "grpc", "rpc.method": name}

    def end(self, code: int) -> None:
        """Make the spans."""
        name = code_pb2.Code.Name(code)
        for stage, began_ns, ended_ns in self.spans():
            self._add(stage, began_ns, ended_ns)
        self._span.set_attributes({**self.facts, "rpc.response.status_code": name})
        if code in FAULTS:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(self._epoch_ns + ended_ns)

    def apart(self, stage: str, began_ns: int) -> None:
        """Make the span of a stage apart."""
        self._add(stage, began_ns, clock_ns())

    def _add(self, stage: str, began_ns: int, ended_ns: int) -> None:
        """Make the span of a stage."""
        span = self._tracer.start_span(
            stage, set_span_in_context(self._span, Context()), start_time=self._epoch_ns + began_ns
        )
        span.end(self._epoch_ns + ended_ns)
