"""The connection to the servers: one channel, whose calls go to each of them in turn.

A server that says NOT_SERVING gets no calls, so one that is about to end is left in time. Calls
that read are tried again on another server where one has become unavailable; those that write are
the caller's to repeat, who knows whether its events have ids.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gateway.methods import METHODS, Method
from gateway.problems import AWAY, of_call
from listeners.watched_files import WatchedFiles
from nextclick.channel import CHANNEL_OPTIONS

log = logging.getLogger("nextclick.gateway")

READS = (
    {"service": "nextclick.v1.RecommendationService"},
    {"service": "nextclick.v1.CatalogService", "method": "GetItems"},
    {"service": "nextclick.v1.UserService", "method": "GetUsers"},
    {"service": "nextclick.v1.UserService", "method": "GetProfiles"},
    {"service": "nextclick.v1.ModelService", "method": "ListModels"},
    {"service": "nextclick.v1.FeatureService"},
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

LOOK_S = 1.0
"""Pause between two looks whether there are newer credentials, or a server that takes them."""

GRACE_S = 600.0
"""For the calls on a channel that another one replaces: no call may have longer."""


class Upstream:
    """The servers behind the gateway.

    Parameters
    ----------
    target
        A target of gRPC: ``host:port``, or ``dns:///name:port`` for all addresses of a name.
    credentials
        Of connections over TLS, from files that may be replaced; None: they are plain.
    """

    def __init__(
        self, target: str, credentials: WatchedFiles[grpc.ChannelCredentials] | None = None
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._away: str | None = None  # what was logged last: each call would fill the log

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep a channel open meanwhile; connecting goes on in the background."""
        given = self._credentials.value if self._credentials else None
        channel = self._use(self._open(given))
        renewing = asyncio.create_task(self._renew(channel, given))
        try:
            yield
        finally:
            renewing.cancel()
            if self._channel:
                await self._channel.close(None)

    def _open(self, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        options = (*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(SERVICE_CONFIG)))
        if credentials is None:
            return grpc.aio.insecure_channel(self._target, options)
        return grpc.aio.secure_channel(self._target, credentials, options)

    def _use(self, channel: grpc.aio.Channel) -> grpc.aio.Channel:
        of_bytes: Any = channel.unary_unary  # its types want serialisers, which may be left out
        self._calls = {method: of_bytes(method.grpc_path) for method in METHODS}
        self._channel = channel
        self.ready()
        return channel

    async def _renew(
        self, channel: grpc.aio.Channel, given: grpc.ChannelCredentials | None
    ) -> None:
        """Have calls go over a channel with the newest credentials, once a server takes these.

        gRPC gives a channel its credentials for good. Those before may be good for a while.
        """
        files = self._credentials
        while files is not None:
            await asyncio.sleep(LOOK_S)
            if (newest := files.value) is given:
                continue
            given, newer = newest, self._open(newest)
            while files.value is newest and not _is_ready(newer):
                await asyncio.sleep(LOOK_S)
            if files.value is not newest:
                await newer.close(None)
                continue
            before, channel = channel, self._use(newer)
            await before.close(GRACE_S)

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
        return self._channel is not None and _is_ready(self._channel)


def _is_ready(channel: grpc.aio.Channel) -> bool:
    """Whether a channel is connected; it tries to be from now on."""
    return channel.get_state(True) is grpc.ChannelConnectivity.READY
