"""When to try a call again, and what a failed one means to the caller."""

from __future__ import annotations

import random
import time

import grpc

from nextclick.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NextclickError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)
from nextclick.rich_status import faults_of, status_of

FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.05, 1.0


class Attempts:
    """Attempts of one call within one deadline: exponential backoff with jitter.

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
        """Seconds that are left for an attempt, at least a millisecond."""
        return max(self._deadline - time.monotonic(), 0.001)

    def pause(self) -> float | None:
        """Seconds to wait before the next attempt; None if there must be none."""
        if self._left <= 0:
            return None
        self._left -= 1
        # Not below a half: a server that restarts needs the time.
        pause = random.uniform(self._backoff / 2, self._backoff)
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_S)
        return pause if time.monotonic() + pause < self._deadline else None

    def hedge(self) -> bool:
        """Take one of the attempts for now, beside those that are out; False if none is left."""
        if self._left <= 0:
            return False
        self._left -= 1
        return True


def retryable(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed soon.

    CANCELLED, which the caller has not asked for, is grpc's word for a call that has reached a
    server in the instant in which it shuts down.
    """
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def translate(error: grpc.RpcError) -> NextclickError:
    """Return the error for the caller."""
    code, details = error.code(), error.details() or error.code().name
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidRequestError(details, faults_of(status_of(error)))
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        # grpc's own words for a message over the limit of one side.
        return InvalidRequestError(f"{details}; send less in one call")
    if code == grpc.StatusCode.NOT_FOUND:
        return NotFoundError(details)
    error_type, advice = _ADVICE.get(code.name, (ServerError, "see the server's log"))
    return error_type(f"{code.name}: {details}; {advice}")


_AWAY = (UnavailableError, "is the server up and SERVING? Try again later")

_ADVICE: dict[str, tuple[type[NextclickError], str]] = {
    UnavailableError.status: _AWAY,
    "CANCELLED": _AWAY,
    DeadlineExceededError.status: (DeadlineExceededError, "raise timeout_s, or serve without"),
    UnauthenticatedError.status: (UnauthenticatedError, "give the client a token of the server"),
    PermissionDeniedError.status: (PermissionDeniedError, "give the client another token"),
    OverloadedError.status: (OverloadedError, "slow down and try again"),
    "UNIMPLEMENTED": (ServerError, "is it a nextclick server, of this client's version or later?"),
}
