"""A gRPC server that answers as its test says, on a free port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

from nextclick.v1 import (
    catalog_service_pb2_grpc,
    event_service_pb2_grpc,
    feature_service_pb2_grpc,
    model_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    user_service_pb2_grpc,
)

Answer = Any | grpc.StatusCode | Callable[[grpc.ServicerContext], Any]


class Fake:
    """Plays the answers of its list, the last one for ever, and keeps the requests.

    An answer is a response, a status code to fail with, or a function of the context.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[Any] = []
        self.methods: list[str] = []
        self.seconds_left: list[float] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if not name[0].isupper():
            raise AttributeError(name)
        return self._answer

    def StreamRecommend(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: N802 - as in the proto
        for request in requests:
            yield self._answer(request, context)

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.requests.append(request)
            self.seconds_left.append(context.time_remaining())
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "the test says so")
        return answer(context) if callable(answer) else answer


class _Door(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Notes which methods are called, and refuses calls without the token, where there is one."""

    def __init__(self, fake: Fake, token: str) -> None:
        self._fake = fake
        self._expected = ("authorization", f"Bearer {token}") if token else None

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        self._fake.methods.append(details.method)
        if self._expected is None or self._expected in map(tuple, details.invocation_metadata):
            return continuation(details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        )


@contextmanager
def serving(
    fake: Fake,
    target: str = "127.0.0.1:0",
    token: str = "",
    health: Any = None,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[str]:
    """Serve the fake while the block runs; gives the target, port 0 being any free one.

    With the servicer ``health``, it also says how it is; with ``credentials``, it speaks TLS.
    """
    pings = [("grpc.http2.min_ping_interval_without_data_ms", 100)]
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[_Door(fake, token)], options=pings)
    recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(fake, server)
    event_service_pb2_grpc.add_EventServiceServicer_to_server(fake, server)
    catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(fake, server)
    user_service_pb2_grpc.add_UserServiceServicer_to_server(fake, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    user_service_pb2_grpc.add_UserServiceServicer_to_server(fake, server)
    feature_service_pb2_grpc.add_FeatureServiceServicer_to_server(fake, server)
    if health is not None:
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if credentials is None:
        port = server.add_insecure_port(target)
    else:
        port = server.add_secure_port(target, credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(5)


def bad_request(*faults: tuple[str, str]) -> Answer:
    """Return an answer that names faulty fields, as the server does."""
    bad = error_details_pb2.BadRequest()
    for name, description in faults:
        bad.field_violations.add(field=name, description=description)
    detail = any_pb2.Any()
    detail.Pack(bad)
    status = status_pb2.Status(
        code=code_pb2.INVALID_ARGUMENT, message="faulty request", details=[detail]
    )

    def abort(context: grpc.ServicerContext) -> None:
        context.abort_with_status(rpc_status.to_status(status))

    return abort
