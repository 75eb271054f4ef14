"""Authentication: if the server has a token, calls must carry it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from server import metrics
from server.errors import unauthenticated
from server.transport.rich_status import abort

WITHOUT_TOKEN = "/grpc.health.v1.Health/"
"""Health checks: load balancers have no token."""


class TokenAuth(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Admits calls with ``authorization: Bearer TOKEN``; others fail with UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See `grpc.ServerInterceptor`."""
        if details.method.startswith(WITHOUT_TOKEN):
            return continuation(details)
        for key, value in details.invocation_metadata:
            if key == "authorization" and hmac.compare_digest(value.encode(), self._expected):
                return continuation(details)
        return REFUSED


def _refuse(_: Any, context: grpc.ServicerContext) -> NoReturn:
    metrics.REFUSED.labels("unauthenticated").inc()
    error = unauthenticated(
        "the call does not carry the server's token; send it as 'authorization: Bearer TOKEN'"
    )
    abort(context, error)


REFUSED = grpc.stream_stream_rpc_method_handler(_refuse)
"""As a stream, whatever the call is: gRPC has the thread of a unary call wait for its message."""
