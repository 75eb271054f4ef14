"""Authentication: calls must carry the server's token, where it has one."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
from google.rpc import code_pb2

from server.errors import RequestError, abort

OPEN = "/grpc.health.v1.Health/"
"""Load balancers ask for health and have no token."""


class TokenAuth(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Lets calls pass that say ``authorization: Bearer TOKEN``; others are UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See `grpc.ServerInterceptor`."""
        if details.method.startswith(OPEN):
            return continuation(details)
        for key, value in details.invocation_metadata:
            if key == "authorization" and hmac.compare_digest(value.encode(), self._expected):
                return continuation(details)
        return self._refusal


def _refuse(_: bytes, context: grpc.ServicerContext) -> NoReturn:
    error = RequestError(
        "the call does not carry the server's token; send it as 'authorization: Bearer TOKEN'",
        code=code_pb2.UNAUTHENTICATED,
    )
    abort(context, error)
