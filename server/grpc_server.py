"""The gRPC server: answers in the fast lane, calls that wait on threads of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME
from grpc_reflection.v1alpha import reflection
from prometheus_client import Counter, Histogram

from nextclick.v1 import (
    catalog_service_pb2,
    event_service_pb2,
    model_service_pb2,
    recommendation_service_pb2,
)
from server import metrics
from server.auth import TokenAuth
from server.catalog import Catalog
from server.events import Events
from server.fast_lane import Behaviour, FastLane, Reply, stock_handler
from server.faults import RequestError, abort, code_name, internal, overloaded, rich_status
from server.health import Health
from server.models import Models
from server.recommendation import Recommendations
from server.settings import ServerSettings

log = logging.getLogger("nextclick.grpc")

Handler = Callable[[bytes, grpc.ServicerContext], bytes]
Streamer = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
NO_STREAMS: dict[str, Streamer] = {}
NOTHING_FAST: dict[str, Any] = {}
MAX_STREAMS = 64
"""StreamRecommend calls at once: each holds a thread that sleeps between its answers."""

SPARE_THREADS = 8
"""Threads beside those that may wait: they refuse what is too much, and answer health checks."""

RECOMMENDATION = recommendation_service_pb2.DESCRIPTOR.services_by_name["RecommendationService"]
EVENT = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
CATALOG = catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"]
MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]


class GrpcServer:
    """Serves the four services, health and reflection on one port.

    Single answers run on the thread that takes in calls, from parse to reply (`FastLane`);
    batches and streams take turns on one thread, calls that wait for Kafka have their own, so
    none of them can hold up an answer.
    """

    def __init__(
        self,
        settings: ServerSettings,
        recommendations: Recommendations,
        events: Events,
        catalog: Catalog,
        models: Models,
    ) -> None:
        self._waiting_room = threading.BoundedSemaphore(settings.max_waiting_puts)
        self._answers = ThreadPoolExecutor(1, "answers")
        waiting = ThreadPoolExecutor(settings.max_waiting_puts + SPARE_THREADS, "waiting")
        interceptors: list[Any] = [TokenAuth(settings.token)] if settings.token else []
        self._server = grpc.server(
            waiting,
            interceptors=interceptors,
            options=[
                ("grpc.so_reuseport", int(settings.share_port)),
                ("grpc.max_receive_message_length", 8 << 20),
            ],
        )
        noted: deque[tuple[Counter, Histogram, float]] = deque()
        fast = {
            name: _behaviour(name, answer, noted)
            for name, answer in (
                ("Recommend", recommendations.recommend),
                ("Rank", recommendations.rank),
                ("SimilarItems", recommendations.similar_items),
                ("Trending", recommendations.trending),
            )
        }

        def after() -> None:
            while noted:
                counted, latency, seconds = noted.popleft()
                counted.inc()
                latency.observe(seconds)
            recommendations.send_impressions()

        self._streams = threading.BoundedSemaphore(MAX_STREAMS)
        self._serve(
            RECOMMENDATION,
            {"BatchRecommend": self._in_turn("BatchRecommend", recommendations.batch_recommend)},
            {"StreamRecommend": self._stream("StreamRecommend", recommendations.stream_recommend)},
            {name: stock_handler(behaviour, after) for name, behaviour in fast.items()},
        )
        self._lane = FastLane(
            self._server,
            {f"/{RECOMMENDATION.full_name}/{name}": answer for name, answer in fast.items()},
            interceptors,
            after=after,
        )
        self._serve(
            EVENT,
            {
                "PutEvents": self._waits(
                    "PutEvents", event_service_pb2.PutEventsRequest, events.put_events
                )
            },
        )
        writes: dict[str, tuple[Any, Any]] = {
            "PutItems": (catalog_service_pb2.PutItemsRequest, catalog.put_items),
            "DeleteItems": (catalog_service_pb2.DeleteItemsRequest, catalog.delete_items),
        }
        reads = {
            "GetItems": self._aside(
                "GetItems", catalog_service_pb2.GetItemsRequest, catalog.get_items
            )
        }
        self._serve(
            CATALOG, reads | {name: self._waits(name, *call) for name, call in writes.items()}
        )
        commands: dict[str, tuple[Any, Any]] = {
            "PauseLearning": (model_service_pb2.PauseLearningRequest, models.pause_learning),
            "ResumeLearning": (model_service_pb2.ResumeLearningRequest, models.resume_learning),
            "RollBack": (model_service_pb2.RollBackRequest, models.roll_back),
        }
        listing = (model_service_pb2.ListModelsRequest, models.list_models)
        self._serve(
            MODEL,
            {"ListModels": self._aside("ListModels", *listing)}
            | {name: self._waits(name, *call) for name, call in commands.items()},
        )
        self._health = Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [service.full_name for service in (RECOMMENDATION, EVENT, CATALOG, MODEL)]
        reflection.enable_server_reflection(
            [*names, SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self._names = ["", *names]
        self.set_serving(False)
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._bound = False
        if not settings.share_port:
            # At once: a port that is taken should be said before the models load.
            self._bind()

    def _bind(self) -> None:
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as e:
            raise SystemExit(
                f"cannot listen on {self._address}: is the port taken? Choose another with "
                "NEXTCLICK_GRPC_PORT"
            ) from e
        self._bound = True

    def start(self) -> None:
        """Begin to answer; health is NOT_SERVING until `set_serving`."""
        if not self._bound:
            self._bind()
        self._lane.start()

    def set_serving(self, serving: bool) -> None:
        """Say in health checks whether this replica wants calls."""
        statuses = health_pb2.HealthCheckResponse
        for name in self._names:
            self._health.set(name, statuses.SERVING if serving else statuses.NOT_SERVING)

    def drain(self, grace_s: float) -> None:
        """Refuse new calls and let those in flight end."""
        self.set_serving(False)
        self._server.stop(grace_s).wait()

    def _serve(
        self,
        service: Any,
        behaviours: dict[str, Handler],
        streams: dict[str, Streamer] = NO_STREAMS,
        fast: dict[str, Any] = NOTHING_FAST,
    ) -> None:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(behaviour)
            for name, behaviour in behaviours.items()
        }
        handlers |= {
            name: grpc.stream_stream_rpc_method_handler(streamer)
            for name, streamer in streams.items()
        }
        handlers |= fast
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.full_name, handlers),)
        )

    def _in_turn(self, name: str, answer: Callable[[bytes], bytes]) -> Handler:
        """Return the behaviour of a call of many answers: one after another on one thread."""
        counted = metrics.REQUESTS.labels(name, "OK")
        latency = metrics.LATENCY.labels(name)

        def behaviour(raw: bytes, context: grpc.ServicerContext) -> bytes:
            started = time.perf_counter()
            try:
                reply = answer(raw)
            except Exception as e:
                _fail(context, name, e)
            counted.inc()
            latency.observe(time.perf_counter() - started)
            return reply

        behaviour.experimental_thread_pool = self._answers  # type: ignore[attr-defined]
        return behaviour

    def _stream(self, name: str, answer: Callable[[bytes], bytes]) -> Streamer:
        """Return the behaviour of a call of many answers: its own thread has each one made.

        Answers are made on the answering thread in turn with those of all other calls; the
        stream's thread only waits.
        """
        counted = metrics.REQUESTS.labels(name, "OK")
        threads = ThreadPoolExecutor(MAX_STREAMS + SPARE_THREADS, "streams")

        def streamer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            if not self._streams.acquire(blocking=False):
                _fail(context, name, overloaded(f"{MAX_STREAMS} streams run; close one"))
            try:
                for raw in requests:
                    try:
                        reply = self._answers.submit(answer, raw).result()
                    except Exception as e:
                        _fail(context, name, e)
                    counted.inc()
                    yield reply
            finally:
                self._streams.release()

        streamer.experimental_thread_pool = threads  # type: ignore[attr-defined]
        return streamer

    def _waits(
        self, name: str, request_type: Any, call: Callable[[Any, float | None], Any]
    ) -> Handler:
        """Return the behaviour of a call that may wait for Kafka."""
        behaviour = self._aside(name, request_type, call)

        def bounded(raw: bytes, context: grpc.ServicerContext) -> bytes:
            if not self._waiting_room.acquire(blocking=False):
                _fail(context, name, overloaded("too many calls wait for Kafka; try again later"))
            try:
                return behaviour(raw, context)
            finally:
                self._waiting_room.release()

        return bounded

    def _aside(
        self, name: str, request_type: Any, call: Callable[[Any, float | None], Any]
    ) -> Handler:
        """Return the behaviour of a call that runs on one of many threads."""

        def behaviour(raw: bytes, context: grpc.ServicerContext) -> bytes:
            started = time.perf_counter()
            try:
                request = request_type.FromString(raw)
                reply: bytes = call(request, context.time_remaining()).SerializeToString()
            except Exception as e:
                _fail(context, name, e)
            metrics.REQUESTS.labels(name, "OK").inc()
            metrics.LATENCY.labels(name).observe(time.perf_counter() - started)
            return reply

        return behaviour


def _behaviour(
    name: str, answer: Callable[[bytes], bytes], noted: deque[tuple[Counter, Histogram, float]]
) -> Behaviour:
    """Return a call of the fast lane; what it took is noted, to be counted after the reply."""
    counted = metrics.REQUESTS.labels(name, "OK")
    latency = metrics.LATENCY.labels(name)

    def behaviour(raw: bytes) -> Reply:
        started = time.perf_counter()
        try:
            reply = Reply(answer(raw))
        except Exception as e:
            status = rich_status(_told(name, e))
            return Reply(b"", status.code.value[0], status.details, status.trailing_metadata)
        noted.append((counted, latency, time.perf_counter() - started))
        return reply

    return behaviour


def _fail(context: grpc.ServicerContext, name: str, error: Exception) -> NoReturn:
    """End a call with an error that its caller can act on, and count it."""
    abort(context, _told(name, error))


def _told(name: str, error: Exception) -> RequestError:
    """Return an error as its caller is told it, and count it."""
    if isinstance(error, DecodeError):
        error = RequestError(f"the request is no serialised {name}Request")
    elif not isinstance(error, RequestError):
        log.error("%s failed", name, exc_info=error)
        error = internal()
    metrics.REQUESTS.labels(name, code_name(error)).inc()
    return error
