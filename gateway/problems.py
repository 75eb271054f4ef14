"""Errors as the gateway sends them: problem details (RFC 9457), with a google.rpc code.

The status is the one that google/rpc/code.proto names for the code. Faults by field are those of
google.rpc.BadRequest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import grpc
import orjson
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from starlette.responses import Response

from nextclick.errors import FieldFault

MEDIA_TYPE = "application/problem+json"

STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""HTTP status of each code, but OK."""

TITLES = {499: "Client Closed Request"}
"""Titles of statuses that are nginx's, not HTTP's own."""

SOON = {"Retry-After": "1"}
"""For refusals that pass: seconds to wait before the next try."""

HEADERS: dict[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: SOON,
    503: SOON,
}
"""What else an answer with a status has to say."""

AWAY = "no server can be reached that is SERVING; try again later"

DETAILS = "grpc-status-details-bin"
"""The trailer that has a google.rpc.Status."""


class ProblemError(Exception):
    """A call is not answered.

    Parameters
    ----------
    detail
        What is wrong, and what to do.
    code
        Name of the google.rpc code.
    violations
        What is wrong with single fields.
    status
        HTTP status; 0: that of the code.
    headers
        Further headers of the answer.
    """

    def __init__(
        self,
        detail: str,
        code: str = "INVALID_ARGUMENT",
        violations: Sequence[FieldFault] = (),
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.detail = detail
        self.code = code
        self.violations = violations
        self.status = status or STATUSES.get(code, 500)
        self.headers = {**HEADERS.get(self.status, {}), **(headers or {})}
        super().__init__(detail)

    def response(self) -> Response:
        """Return the answer that says so."""
        members = {
            "type": "about:blank",
            "title": TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.violations:
            members["field_violations"] = [
                {"field": fault.field, "description": fault.description}
                for fault in self.violations
            ]
        return Response(orjson.dumps(members), self.status, self.headers, MEDIA_TYPE)


def of_call(error: grpc.aio.AioRpcError) -> ProblemError:
    """Return the problem for a call that has failed.

    Without a google.rpc.Status, UNAVAILABLE is no server's answer but gRPC's, whose text has the
    addresses of servers. So is CANCELLED, its word for a call that has reached a server in the
    instant in which it shuts down.
    """
    code, detail = error.code().name, error.details() or error.code().name
    status = _status(error)
    if code == "CANCELLED" or (code == "UNAVAILABLE" and status is None):
        return ProblemError(AWAY, "UNAVAILABLE")
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in detail:
        return ProblemError(f"{detail}; send less in one call", code, status=413)
    return ProblemError(detail, code, _violations(status))


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    trailers: Any = error.trailing_metadata()
    sent = [value for key, value in trailers or () if key == DETAILS]
    try:
        return status_pb2.Status.FromString(sent[0]) if sent else None
    except (TypeError, DecodeError):  # a proxy's, or another server's
        return None


def _violations(status: status_pb2.Status | None) -> list[FieldFault]:
    found: list[FieldFault] = []
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        try:
            if detail.Unpack(bad):
                found += [FieldFault(v.field, v.description) for v in bad.field_violations]
        except DecodeError:
            return []
    return found
