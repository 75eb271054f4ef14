"""Health checks: grpc.health.v1, with a limited number of watchers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from listeners.client_slots import ClientSlots, client_of

MAX_WATCHERS, MAX_CLIENT_WATCHERS = 64, 32
"""In all and of one client. Each needs a sleeping thread; a load balancer has one watcher per
connection."""

SPARE_THREADS = 2


class Health(health.HealthServicer):
    """Check and Watch, with at most `MAX_WATCHERS`; one more gets RESOURCE_EXHAUSTED.

    Each watcher gets a thread. The package's non-blocking mode would send while holding a lock that
    the end of a watch also takes, on the very thread that must confirm the sending: a watcher that
    leaves while the status changes would deadlock the server.
    """

    def __init__(self) -> None:
        super().__init__(
            experimental_non_blocking=False,
            experimental_thread_pool=ThreadPoolExecutor(MAX_WATCHERS + SPARE_THREADS, "health"),
        )
        self._slots = ClientSlots(MAX_WATCHERS, MAX_CLIENT_WATCHERS)

    def Watch(  # type: ignore[override]  # noqa: N802 - the name of the call
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Stream the status and all its changes."""
        client = client_of(context.peer())
        if not self._slots.take(client):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MAX_WATCHERS} watchers already, or {MAX_CLIENT_WATCHERS} from your address; "
                "use Check, or try again later",
            )
        try:
            statuses = super().Watch(request, context)
            if context.is_active():  # otherwise nothing would ever end the stream
                yield from statuses
        finally:
            self._slots.give_back(client)
