"""The calls that the gateway takes: every unary call of the API, found in its descriptors.

``rpc BatchRecommend`` of the package ``nextclick.v1`` is ``POST /v1/batchRecommend``. A new call
appears by itself. Streams are left out: a browser cannot send one, and `BatchRecommend` answers
many visitors in one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from nextclick import v1


class Method(NamedTuple):
    """A unary call of the API."""

    service: ServiceDescriptor
    descriptor: MethodDescriptor

    @property
    def name(self) -> str:
        """Its name in the API."""
        return str(self.descriptor.name)

    @property
    def path(self) -> str:
        """Its path over HTTP."""
        version = self.service.file.package.rpartition(".")[2]
        return f"/{version}/{self.name[0].lower()}{self.name[1:]}"

    @property
    def grpc_path(self) -> str:
        """Its path in gRPC."""
        return f"/{self.service.full_name}/{self.name}"

    @property
    def request(self) -> type[Message]:
        """The class of its request."""
        return GetMessageClass(self.descriptor.input_type)

    @property
    def response(self) -> type[Message]:
        """The class of its response."""
        return GetMessageClass(self.descriptor.output_type)


def services() -> Iterator[ServiceDescriptor]:
    """Yield the services of the API."""
    for module in iter_modules(v1.__path__):
        if module.name.endswith("_service_pb2"):
            file = import_module(f"{v1.__name__}.{module.name}").DESCRIPTOR
            yield from file.services_by_name.values()


def unary(found: ServiceDescriptor) -> Iterator[Method]:
    """Yield the calls of a service that are one message each way."""
    for method in found.methods:
        if not method.client_streaming and not method.server_streaming:
            yield Method(found, method)


def is_list(field: FieldDescriptor) -> bool:
    """Whether a field is a list or a map, in the words of any version of protobuf."""
    either: Any = field
    if hasattr(field, "is_repeated"):  # from 6.31 on
        return bool(either.is_repeated)
    return bool(either.label == FieldDescriptor.LABEL_REPEATED)


METHODS = tuple(method for service in services() for method in unary(service))
