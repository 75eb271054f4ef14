"""The connection to a server: its options, TLS, the token, and the stubs of the services."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from nextclick.tls import Tls
from nextclick.v1 import (
    catalog_service_pb2_grpc,
    event_service_pb2_grpc,
    model_service_pb2_grpc,
    recommendation_service_pb2_grpc,
)

CHANNEL_OPTIONS = (
    # By default a refused connection is tried again after a second, then later and later: the
    # first calls to a server that is back would fail. (min_reconnect_backoff_ms is not among
    # these: it would cut short slow connections.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    # The server is a neighbour: a proxy for the way out would only be in the way.
    ("grpc.enable_http_proxy", 0),
)


def blocking(target: str, tls: Tls | None) -> grpc.Channel:
    """Return a channel for threads; without TLS, a plain one."""
    if tls is None:
        return grpc.insecure_channel(target, CHANNEL_OPTIONS)
    return grpc.secure_channel(target, tls.credentials(), CHANNEL_OPTIONS)


def asynchronous(target: str, tls: Tls | None) -> grpc.aio.Channel:
    """Return a channel for an event loop; without TLS, a plain one."""
    if tls is None:
        return grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(target, tls.credentials(), CHANNEL_OPTIONS)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Return what each call carries: the caller's token, if there is one."""
    return (("authorization", f"Bearer {token}"),) if token else ()


class Stubs:
    """The four services on one channel, blocking or asynchronous."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        # grpc generates stubs without types.
        recommendations: Any = recommendation_service_pb2_grpc.RecommendationServiceStub
        events: Any = event_service_pb2_grpc.EventServiceStub
        catalogue: Any = catalog_service_pb2_grpc.CatalogServiceStub
        models: Any = model_service_pb2_grpc.ModelServiceStub
        self.recommendations = recommendations(channel)
        self.events = events(channel)
        self.catalogue = catalogue(channel)
        self.models = models(channel)
