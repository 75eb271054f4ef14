"""The connection to the servers: addresses, options, TLS, the token, the services' stubs."""

from __future__ import annotations

import ipaddress
import json
import re
import threading
import time
from typing import Any

import grpc
import grpc.aio

from nextclick.errors import InvalidRequestError
from nextclick.tls import Tls
from nextclick.v1 import (
    catalog_service_pb2_grpc,
    event_service_pb2_grpc,
    feature_service_pb2_grpc,
    model_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    user_service_pb2_grpc,
)

CHANNEL_OPTIONS = (
    # By default a refused connection is tried again after a second, then later and later: the
    # first calls to a server that is back would fail. (min_reconnect_backoff_ms is not among
    # these: it would cut short slow connections.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    # A name is looked up again whenever a connection ends, at most this often (by default, each
    # 30 s): else the servers that have replaced others in a rolling restart would be unknown.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # A machine that has died without a word is noticed by the pings that it does not answer. (Of
    # the two timeouts, grpc 1.65 heeds the second one alone. And by default its third ping waits
    # for data: where a call hangs, it came after that one's deadline.)
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # The server is a neighbour: a proxy for the way out would only be in the way.
    ("grpc.enable_http_proxy", 0),
)

TOKEN = re.compile(r"[\x21-\x7e]+")
"""What can be a token."""


def blocking(target: str, tls: Tls | None) -> grpc.Channel:
    """Return a channel for threads; without TLS, a plain one."""
    if tls is None:
        return grpc.insecure_channel(address(target), options(target))
    return grpc.secure_channel(address(target), tls.credentials(), _options_of_tls(target, tls))


def asynchronous(target: str, tls: Tls | None) -> grpc.aio.Channel:
    """Return a channel for an event loop; without TLS, a plain one."""
    if tls is None:
        return grpc.aio.insecure_channel(address(target), options(target))
    return grpc.aio.secure_channel(address(target), tls.credentials(), _options_of_tls(target, tls))


def address(target: str) -> str:
    """Return a target as gRPC wants it; a list of addresses gets its scheme.

    >>> address("10.0.0.1:50051,10.0.0.2:50051")
    'ipv4:10.0.0.1:50051,10.0.0.2:50051'
    >>> address("shop.example:50051")
    'shop.example:50051'

    Raises
    ------
    InvalidRequestError
        If a list has names: a name that stands for all servers is the way to give these.
    """
    if "," not in target:
        return target
    try:
        versions = {_ip_version(one) for one in target.split(",")}
    except ValueError as error:
        raise InvalidRequestError(f"{target}: {error}; {_LISTS}") from None
    if len(versions) > 1:
        raise InvalidRequestError(f"{target}: IPv4 and IPv6 in one list; {_LISTS}")
    return f"ipv{versions.pop()}:{target}"


_LISTS = (
    "a list has addresses such as 10.0.0.1:50051,10.0.0.2:50051; or give one name that DNS has "
    "the addresses of all servers for"
)


def _ip_version(one: str) -> int:
    host, _, port = one.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"{one!r} has no port")
    return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).version


def options(target: str) -> tuple[tuple[str, Any], ...]:
    """Return the options of the channel to a target.

    Calls go to all servers in turn that are connected. Those of a list are also asked whether they
    are SERVING, so that one that drains or catches up gets no calls. A name is left to whoever
    keeps it: with one server, an answer of less quality would be better than none.
    """
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if "," in target:
        config["healthCheckConfig"] = {"serviceName": ""}
    return (*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(config)))


def _options_of_tls(target: str, tls: Tls) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel over TLS; gRPC would take a list for one long name."""
    if tls.server_name:
        return (*options(target), ("grpc.default_authority", tls.server_name))
    if "," in target:
        raise InvalidRequestError(
            f"{target}: over TLS, a list needs the name that all of these servers' certificates "
            "are for: Tls(..., server_name=)"
        )
    return options(target)


def wait(channel: grpc.Channel, seconds: float) -> None:
    """Wait, and have a channel for threads connect meanwhile.

    Its connections get on only while a call waits or somebody watches them, and else once in 5 s:
    calls to a server that is back would go on failing for so long.
    """
    until = time.monotonic() + seconds
    watched = threading.Event()

    def watch(_: grpc.ChannelConnectivity) -> None:
        watched.set()

    channel.subscribe(watch)
    watched.wait(1.0)  # grpc's thread must not begin to watch a channel that is closed already
    time.sleep(max(until - time.monotonic(), 0.0))
    channel.unsubscribe(watch)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Return what each call carries: the caller's token, if there is one.

    Raises
    ------
    InvalidRequestError
        If it cannot be one. It is not quoted: grpc's own error would have it.
    """
    if token and not TOKEN.fullmatch(token):
        raise InvalidRequestError(
            "the token has a space, a line end or another character that no token has: strip what "
            "was read from its file"
        )
    return (("authorization", f"Bearer {token}"),) if token else ()


class Stubs:
    """The services on one channel, blocking or asynchronous."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        # grpc generates stubs without types.
        recommendations: Any = recommendation_service_pb2_grpc.RecommendationServiceStub
        events: Any = event_service_pb2_grpc.EventServiceStub
        catalogue: Any = catalog_service_pb2_grpc.CatalogServiceStub
        users: Any = user_service_pb2_grpc.UserServiceStub
        models: Any = model_service_pb2_grpc.ModelServiceStub
        features: Any = feature_service_pb2_grpc.FeatureServiceStub
        self.recommendations = recommendations(channel)
        self.events = events(channel)
        self.catalogue = catalogue(channel)
        self.users = users(channel)
        self.models = models(channel)
        self.features = features(channel)
