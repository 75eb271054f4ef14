"""Errors as gRPC sends them: google.rpc.Status, with faults by field as google.rpc.BadRequest."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import NoReturn

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from server.errors import RequestError, internal
from server.transport.fast_lane import Reply

log = logging.getLogger("nextclick.grpc")

Told = Callable[[Exception], RequestError]
"""Returns an error of a call in the form that the caller may see."""


def told_error(
    name: str, request: type[Message], error: Exception, trace_id: str = ""
) -> RequestError:
    """Return an error of a method in the form that the caller may see; log it if it is ours.

    The caller then gets a name of the call, by which its line in the log is found.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, DecodeError):
        return RequestError(f"the request is not a serialised {request.DESCRIPTOR.name}")
    call = secrets.token_hex(8)
    log.error("%s failed", name, exc_info=error, extra={"request": call, "trace": trace_id})
    return internal(call)


def rich_status(error: RequestError) -> grpc.Status:
    """Return an error's code and details; its faults are in the trailers."""
    status = status_pb2.Status(code=error.code, message=error.message)
    if error.faults:
        bad = error_details_pb2.BadRequest()
        for fault in error.faults:
            bad.field_violations.add(field=fault.field, description=fault.description)
        status.details.add().Pack(bad)
    return rpc_status.to_status(status)


def error_reply(error: RequestError) -> Reply:
    """Return the reply that ends a call with an error."""
    status = rich_status(error)
    return Reply(b"", status.code.value[0], status.details, status.trailing_metadata)


def abort(context: grpc.ServicerContext, error: RequestError) -> NoReturn:
    """End a call with an error."""
    context.abort_with_status(rich_status(error))
    raise AssertionError("abort_with_status returned")
