"""Health checks: grpc.health.v1, with a limited number of watchers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from server.errors import not_found, unimplemented
from server.services.requests import parsed
from server.stages import Untimed
from server.transport.fast_lane import Behaviour, Reply
from server.transport.rich_status import error_reply, told_error
from server.transport.streams import Streams

MAX_WATCHERS, MAX_CLIENT_WATCHERS = 64, 32
"""In all and of one client. Each needs a sleeping thread; a load balancer has one watcher per
connection."""


class Health(health.HealthServicer):
    """Check, on the thread that receives calls; and Watch, with at most `MAX_WATCHERS`.

    Others are told UNIMPLEMENTED: a client of gRPC then takes the server for healthy. After any
    other error it would ask again, and send no calls meanwhile.

    Each watcher gets a thread. The package's non-blocking mode would send while holding a lock that
    the end of a watch also takes, on the very thread that must confirm the sending: a watcher that
    leaves while the status changes would deadlock the server.
    """

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=False)
        self._watchers = Streams("watchers", MAX_WATCHERS, MAX_CLIENT_WATCHERS, unimplemented)

    def calls(self) -> dict[str, Behaviour]:
        """Return what answers Check, by path."""
        return {_path("Check"): self._check}

    def streams(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Return the gRPC handler of Watch, by path."""
        told = partial(told_error, "Watch", HealthCheckRequest)
        return {_path("Watch"): self._watchers.handler(self._watch, told)}

    def _check(self, raw: bytes, _deadline: float, _stages: Untimed) -> Reply:
        try:
            service = parsed(HealthCheckRequest, raw).service
            status = self._server_status.get(service)
            if status is None:
                raise not_found(f"there is no service {service!r}")
        except Exception as e:
            return error_reply(told_error("Check", HealthCheckRequest, e))
        return Reply(HealthCheckResponse(status=status).SerializeToString())

    def _watch(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Stream the status and all its changes."""
        for raw in requests:
            statuses = self.Watch(parsed(HealthCheckRequest, raw), context)
            if context.is_active():  # otherwise nothing would ever end the stream
                yield from (status.SerializeToString() for status in statuses)
            return


def _path(method: str) -> str:
    return f"/{health.SERVICE_NAME}/{method}"
