"""The connection to the servers: one channel, whose calls go to each of them in turn.

A server that says NOT_SERVING gets no calls, so one that is about to end is left in time. Calls
that read are tried again on another server where one has become unavailable; those that write are
the caller's to repeat, who knows whether its events have ids.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gateway.methods import METHODS, Method
from gateway.problems import AWAY, of_call
from nextclick.channel import CHANNEL_OPTIONS

log = logging.getLogger("nextclick.gateway")

READS = (
    {"service": "nextclick.v1.RecommendationService"},
    {"service": "nextclick.v1.CatalogService", "method": "GetItems"},
    {"service": "nextclick.v1.ModelService", "method": "ListModels"},
)
"""Calls that may be sent twice."""

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": READS,
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
}
"""See https://github.com/grpc/grpc/blob/master/doc/service_config.md."""

Metadata = Sequence[tuple[str, str]]


class Upstream:
    """The servers behind the gateway.

    Parameters
    ----------
    target
        A target of gRPC: ``host:port``, or ``dns:///name:port`` for all addresses of a name.
    credentials
        Of connections over TLS; None: they are plain.
    """

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self._target = target
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._away: str | None = None  # what was logged last: each call would fill the log

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep the channel open meanwhile; connecting goes on in the background."""
        options = (*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(SERVICE_CONFIG)))
        async with self._open(options) as channel:
            self._channel = channel
            of_bytes: Any = channel.unary_unary  # its types want serialisers, which may be left out
            self._calls = {method: of_bytes(method.grpc_path) for method in METHODS}
            self.ready()
            yield

    def _open(self, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._target, options)
        return grpc.aio.secure_channel(self._target, self._credentials, options)

    async def call(
        self, method: Method, request: bytes, metadata: Metadata, timeout_s: float
    ) -> bytes:
        """Return the serialised response to a serialised request.

        Raises
        ------
        ProblemError
            If the call fails.
        """
        try:
            answer: bytes = await self._calls[method](request, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as e:
            problem = of_call(e)
            if problem.detail == AWAY and e.details() != self._away:
                self._away = e.details()
                log.warning("no server can be reached: %s", self._away)
            raise problem from None
        return answer

    def ready(self) -> bool:
        """Whether there is a server that says SERVING."""
        channel = self._channel
        return channel is not None and channel.get_state(True) is grpc.ChannelConnectivity.READY
