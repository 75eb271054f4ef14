"""Errors as the gateway sends them: problem details (RFC 9457), with a google.rpc code.

The status is the one that google/rpc/code.proto names for the code. Faults by field are those of
google.rpc.BadRequest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import grpc
import orjson
from starlette.responses import Response

from nextclick.errors import FieldFault, listed
from nextclick.rich_status import faults_of, status_of

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


class ProblemError(Exception):
    """A call is not answered.

    Parameters
    ----------
    detail
        What is wrong, and what to do; if empty, the violations say so.
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
        self.detail = detail or listed(violations)
        self.code = code
        self.violations = violations
        self.status = status or STATUSES.get(code, 500)
        self.headers = {**HEADERS.get(self.status, {}), **(headers or {})}
        super().__init__(self.detail)

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
    status = status_of(error)
    if code == "CANCELLED" or (code == "UNAVAILABLE" and status is None):
        return ProblemError(AWAY, "UNAVAILABLE")
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in detail:
        return ProblemError(f"{detail}; send less in one call", code, status=413)
    return ProblemError(detail, code, faults_of(status))
