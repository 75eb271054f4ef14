"""When to try a call again, and what a failed one means to the caller."""

from __future__ import annotations

import random
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from nextclick.errors import (
    DeadlineExceededError,
    FieldFault,
    InvalidRequestError,
    NextclickError,
    NotFoundError,
    OverloadedError,
    ServerError,
    UnavailableError,
)

FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.02, 1.0


class Attempts:
    """Attempts of one call within one deadline: exponential backoff with full jitter.

    Parameters
    ----------
    timeout_s
        For all attempts together.
    retries
        Attempts after the first one.
    """

    def __init__(self, timeout_s: float, retries: int) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._left = retries
        self._backoff = FIRST_BACKOFF_S

    def timeout(self) -> float:
        """Seconds that are left, never negative."""
        return max(self._deadline - time.monotonic(), 0.001)

    def pause(self) -> float | None:
        """Seconds to wait before the next attempt; None if there must be none."""
        if self._left <= 0:
            return None
        self._left -= 1
        pause = random.uniform(0, self._backoff)
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_S)
        return pause if time.monotonic() + pause < self._deadline else None


def retryable(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed soon: only where the server was not reached."""
    return bool(error.code() == grpc.StatusCode.UNAVAILABLE)


def translate(error: grpc.RpcError) -> NextclickError:
    """Return the error for the caller."""
    code, details = error.code(), error.details() or ""
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidRequestError(details, _faults(error))
        case grpc.StatusCode.NOT_FOUND:
            return NotFoundError(details)
        case grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(f"{details}; is the server up and SERVING? Try again later")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError(f"{details}; raise timeout_s or answer without")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return OverloadedError(f"{details}; slow down and try again")
        case _:
            return ServerError(f"{code.name}: {details}; see the server's log")


def _faults(error: grpc.RpcError) -> tuple[FieldFault, ...]:
    faults = []
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            faults += [FieldFault(v.field, v.description) for v in bad.field_violations]
    return tuple(faults)
