"""Faulty requests: all faults at once, as google.rpc.BadRequest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from nextclick.errors import FieldFault


class RequestError(Exception):
    """A call that cannot be answered: its gRPC code, and its faults by field."""

    def __init__(
        self, message: str, faults: Sequence[FieldFault] = (), code: int = code_pb2.INVALID_ARGUMENT
    ) -> None:
        self.message = message or "; ".join(f"{f.field}: {f.description}" for f in faults)
        self.faults = faults
        self.code = code
        super().__init__(self.message)


def not_found(message: str) -> RequestError:
    """Return the error for something that is not there."""
    return RequestError(message, code=code_pb2.NOT_FOUND)


def overloaded(message: str) -> RequestError:
    """Return the error for a call beyond a limit of concurrency."""
    return RequestError(message, code=code_pb2.RESOURCE_EXHAUSTED)


def unavailable(message: str) -> RequestError:
    """Return the error for a call that may succeed when it is sent again."""
    return RequestError(message, code=code_pb2.UNAVAILABLE)


def internal() -> RequestError:
    """Return the error for a fault of ours."""
    return RequestError("internal error; the server's log has it", code=code_pb2.INTERNAL)


def code_name(error: RequestError) -> str:
    """Return the name of the error's gRPC code."""
    return str(code_pb2.Code.Name(error.code))


def rich_status(error: RequestError) -> grpc.Status:
    """Return an error as gRPC sends it: code, details, and its faults in the trailers."""
    status = status_pb2.Status(code=error.code, message=error.message)
    if error.faults:
        bad = error_details_pb2.BadRequest()
        for fault in error.faults:
            bad.field_violations.add(field=fault.field, description=fault.description)
        status.details.add().Pack(bad)
    return rpc_status.to_status(status)


def abort(context: grpc.ServicerContext, error: RequestError) -> NoReturn:
    """End a call with an error."""
    context.abort_with_status(rich_status(error))
    raise AssertionError("abort_with_status returned")
