"""Reflection: tools such as grpcurl ask for the API; with a limited number of streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import grpc
from grpc_reflection.v1alpha.reflection import SERVICE_NAME, ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from server.services.requests import parsed
from server.transport.rich_status import told_error
from server.transport.streams import Streams

MAX_REFLECTIONS, MAX_CLIENT_REFLECTIONS = 16, 8
"""In all and of one client: people have few of them open."""

METHOD = "ServerReflectionInfo"


def reflection(services: Sequence[str]) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return the gRPC handler of reflection on services and on itself, by path."""
    servicer: Any = ReflectionServicer([*services, SERVICE_NAME])

    def answers(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        messages = (parsed(ServerReflectionRequest, raw) for raw in requests)
        for answer in servicer.ServerReflectionInfo(messages, context):
            yield answer.SerializeToString()

    streams = Streams("reflection streams", MAX_REFLECTIONS, MAX_CLIENT_REFLECTIONS)
    told = partial(told_error, METHOD, ServerReflectionRequest)
    return {f"/{SERVICE_NAME}/{METHOD}": streams.handler(answers, told)}
