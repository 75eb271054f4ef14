"""Errors that a caller can act on; each message says what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple


class FieldFault(NamedTuple):
    """What is wrong with one field, and what to do."""

    field: str
    description: str


def listed(faults: Iterable[FieldFault]) -> str:
    """Return faults as one sentence for a log."""
    return "; ".join(f"{fault.field}: {fault.description}" for fault in faults)


class NextclickError(Exception):
    """Base of all errors of this package.

    ``status`` is the name of the gRPC status that carries it; retrying is worth it only for
    `UnavailableError` and, later, `OverloadedError`.
    """

    status: ClassVar[str] = "INTERNAL"


class InvalidRequestError(NextclickError):
    """The request is faulty; sending it again cannot help.

    Parameters
    ----------
    message
        Used where no field is to blame.
    faults
        All faults, by field.
    """

    status = "INVALID_ARGUMENT"

    def __init__(self, message: str, faults: tuple[FieldFault, ...] = ()) -> None:
        self.faults = faults
        super().__init__(listed(faults) or message)


class UnauthenticatedError(InvalidRequestError):
    """The call carries no token of the server."""

    status = "UNAUTHENTICATED"


class PermissionDeniedError(InvalidRequestError):
    """The call's token lacks the scope that the method needs."""

    status = "PERMISSION_DENIED"


class NotFoundError(NextclickError):
    """The item is known neither to the catalogue nor to the models."""

    status = "NOT_FOUND"


class UnavailableError(NextclickError):
    """The server cannot be reached, or is not ready, within the deadline; try again later."""

    status = "UNAVAILABLE"


class DeadlineExceededError(NextclickError):
    """No answer within the deadline; raise ``timeout_s``, or serve without recommendations."""

    status = "DEADLINE_EXCEEDED"


class OverloadedError(NextclickError):
    """The server refuses more work; slow down and try again."""

    status = "RESOURCE_EXHAUSTED"


class ServerError(NextclickError):
    """The server failed on this request; its log says why."""
