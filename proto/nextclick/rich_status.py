"""The google.rpc.Status of a failed call, in which a server names the faults."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from nextclick.errors import FieldFault

DETAILS = "grpc-status-details-bin"
"""The trailer that has it."""


def status_of(error: Any) -> status_pb2.Status | None:
    """Return the status of an error of grpc's, blocking or asynchronous; None if it has none."""
    sent = [value for key, value in error.trailing_metadata() or () if key == DETAILS]
    try:
        return status_pb2.Status.FromString(sent[0]) if sent else None
    except (TypeError, DecodeError):  # a proxy's, or another server's
        return None


def faults_of(status: status_pb2.Status | None) -> tuple[FieldFault, ...]:
    """Return the faults by field that a status names; none if they cannot be read."""
    faults: list[FieldFault] = []
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        try:
            if detail.Unpack(bad):
                faults += [FieldFault(v.field, v.description) for v in bad.field_violations]
        except DecodeError:
            return ()
    return tuple(faults)
