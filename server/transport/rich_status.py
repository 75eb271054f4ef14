"""Errors as gRPC sends them: google.rpc.Status, with faults by field as google.rpc.BadRequest."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from server.errors import RequestError


def rich_status(error: RequestError) -> grpc.Status:
    """Return an error's code and details; its faults are in the trailers."""
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
