"""The gRPC server: serves `METHODS`, health and reflection on one port."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME
from grpc_reflection.v1alpha import reflection

from nextclick.limits import MAX_MESSAGE_BYTES
from server.transport.auth import TokenAuth
from server.transport.fast_lane import FastLane
from server.transport.health import Health
from server.transport.lanes import Lanes
from server.transport.methods import METHODS
from settings.server import ServerSettings

MIN_PING_S = 5
"""Clients may ping an idle connection this often, as those behind a NAT or a proxy do; by gRPC's
default, one that pings each 10 s was sent away after 30 s (too_many_pings)."""

SILENCE_S, PONG_S = 60, 20
"""A client that has sent nothing for so long is pinged; without an answer, it is gone."""

AGE_GRACE_S = 30
"""For the streams on a connection that has reached its age."""


class GrpcServer:
    """Serves each method in its lane, so that no other call can delay an answer.

    Parameters
    ----------
    settings
        Address, token and limits.
    handlers
        The objects that answer the services; together they have every handler of `METHODS`.
    after_answers
        See `Lanes`.

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
    ) -> None:
        lanes = Lanes(settings.max_waiting_puts, after_answers)
        interceptors: list[Any] = [TokenAuth(settings.token)] if settings.token else []
        self._server = grpc.server(
            lanes.threads,
            interceptors=interceptors,
            options=_options(settings),
        )
        services: dict[str, dict[str, Any]] = defaultdict(dict)
        for method in METHODS:
            handler = lanes.grpc_handler(method, method.bound_to(handlers))
            services[method.service.full_name][method.name] = handler
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(*service) for service in services.items()]
        )
        self._health = Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*services, SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self._lane = FastLane(self._server, lanes.fast, interceptors, lanes.after_reply)
        self._health_names = ["", *services]
        self.set_serving(False)
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._bound = False
        if not settings.share_port:
            # Bind before the models load, to report a taken port at once.
            self._bind()

    def _bind(self) -> None:
        try:
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


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the options of gRPC."""
    options = [
        ("grpc.so_reuseport", int(settings.share_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000 * MIN_PING_S),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 1_000 * SILENCE_S),
        ("grpc.keepalive_timeout_ms", 1_000 * PONG_S),
    ]
    if settings.connection_age_s:
        options += [
            ("grpc.max_connection_age_ms", int(1_000 * settings.connection_age_s)),
            ("grpc.max_connection_age_grace_ms", 1_000 * AGE_GRACE_S),
        ]
    return options
