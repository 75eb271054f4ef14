"""The gRPC server: serves `METHODS`, health and reflection on one port."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME

from listeners.guard import UNGUARDED, Guard
from nextclick.limits import MAX_MESSAGE_BYTES
from server.stages import untimed
from server.transport.audit import ADMINISTRATIVE, audited
from server.transport.auth import TokenGate
from server.transport.fast_lane import FastLane, StagesOf
from server.transport.health import Health
from server.transport.lanes import Lanes
from server.transport.methods import METHODS
from server.transport.reflection import reflection
from server.transport.tls import server_credentials
from settings.server import ServerSettings

MIN_PING_S = 5
"""Clients may ping an idle connection this often, as those behind a NAT or a proxy do; by gRPC's
default, one that pings each 10 s was sent away after 30 s (too_many_pings)."""

SILENCE_S, PONG_S = 60, 20
"""A client that has sent nothing for so long is pinged; without an answer, it is gone."""

AGE_GRACE_S = 30
"""For the streams on a connection that has reached its age."""

MAX_CONNECTION_CALLS = 1_000
"""The most open calls of one connection; further ones wait at the client."""

STOCK_THREADS = 1
"""Threads of gRPC's own pool, in which nothing runs: streams have threads of their own."""


OF_METADATA = "grpc._cython.cygrpc"
"""The logger on which grpc quotes metadata that are no text, which may hold a token, with a trace
for each: whoever sends them could fill the log."""


class GrpcServer:
    """Serves each method in its lane, so that no other call can delay an answer.

    Parameters
    ----------
    settings
        Address and limits.
    handlers
        The objects that answer the services; together they have every handler of `METHODS`.
    after_answers
        See `Lanes`.
    stages
        Returns the stages of a call of `METHODS`; see `FastLane`.
    guard
        Tokens and certificate.

    Raises
    ------
    SystemExit
        If the port is taken.
    """

    def __init__(
        self,
        settings: ServerSettings,
        handlers: Sequence[object],
        after_answers: Callable[[], None],
        stages: StagesOf = untimed,
        guard: Guard = UNGUARDED,
    ) -> None:
        logging.getLogger(OF_METADATA).setLevel(logging.CRITICAL)
        lanes = Lanes(settings.max_waiting_puts, after_answers)
        for method in METHODS:
            lanes.add(method, method.bound_to(handlers))
        services = sorted({method.service.full_name for method in METHODS})
        self._health = Health()
        streams = {
            **lanes.streams,
            **self._health.streams(),
            **reflection([*services, SERVICE_NAME]),
        }
        self._server = grpc.server(
            ThreadPoolExecutor(STOCK_THREADS, "stock"),
            handlers=[_ByPath(streams)],
            options=_options(settings),
        )
        calls = {**lanes.calls, **self._health.calls()}
        gate = TokenGate(guard.tokens) if guard.tokens else None
        if gate is None:  # which knows the callers, and writes the lines itself
            calls |= {
                method.path: audited(method, calls[method.path])
                for method in METHODS
                if method.name in ADMINISTRATIVE
            }
        self._lane = FastLane(self._server, calls, gate, lanes.after_reply, stages)
        self._certificate = guard.certificate
        self._health_names = ["", *services]
        self.set_serving(False)
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._bound = False
        if not settings.share_port:
            # Bind before the models load, to report a taken port at once.
            self._bind()

    def _bind(self) -> None:
        try:
            if self._certificate:
                credentials = server_credentials(self._certificate)
                self._server.add_secure_port(self._address, credentials)
            else:
                self._server.add_insecure_port(self._address)
        except RuntimeError as e:
            raise SystemExit(
                f"cannot listen on {self._address}: is the port taken? Choose another place with "
                "NEXTCLICK_HOST and NEXTCLICK_GRPC_PORT"
            ) from e
        self._bound = True

    def start(self) -> None:
        """Start to answer; health is NOT_SERVING until `set_serving` is called."""
        if not self._bound:
            self._bind()
        self._lane.start()

    def set_serving(self, serving: bool) -> None:
        """Set whether health checks say that this replica wants calls."""
        statuses = health_pb2.HealthCheckResponse
        for name in self._health_names:
            self._health.set(name, statuses.SERVING if serving else statuses.NOT_SERVING)

    def drain(self, grace_s: float, lame_duck_s: float = 0.0) -> None:
        """Say NOT_SERVING and go on answering; then reject new calls and let the others finish.

        Parameters
        ----------
        grace_s
            Time for the calls in flight.
        lame_duck_s
            Time before that, for load balancers to notice.
        """
        self.set_serving(False)
        time.sleep(lame_duck_s)
        self._server.stop(grace_s).wait()


class _ByPath(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Finds the gRPC handlers of streams."""

    def __init__(self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See `grpc.GenericRpcHandler`."""
        return self._handlers.get(handler_call_details.method)


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the options of gRPC."""
    options = [
        ("grpc.so_reuseport", int(settings.share_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", MAX_CONNECTION_CALLS),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000 * MIN_PING_S),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 1_000 * SILENCE_S),
        # Since 1.65, gRPC looks at this one, by default a minute, whatever its own
        # keepalive_timeout_ms says.
        ("grpc.http2.ping_timeout_ms", 1_000 * PONG_S),
    ]
    if settings.connection_age_s:
        options += [
            ("grpc.max_connection_age_ms", int(1_000 * settings.connection_age_s)),
            ("grpc.max_connection_age_grace_ms", 1_000 * AGE_GRACE_S),
        ]
    return options
