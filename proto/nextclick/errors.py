"""Errors that a caller can act on; each message says what to do next."""

from __future__ import annotations

from typing import NamedTuple


class FieldFault(NamedTuple):
    """What is wrong with one field, and what to do."""

    field: str
    description: str


class NextclickError(Exception):
    """Base of all errors of this package."""


class InvalidRequestError(NextclickError):
    """The request is faulty; sending it again cannot help.

    Parameters
    ----------
    faults
        All faults, by field.
    """

    def __init__(self, message: str, faults: tuple[FieldFault, ...] = ()) -> None:
        self.faults = faults
        listed = "; ".join(f"{f.field}: {f.description}" for f in faults)
        super().__init__(listed or message)


class NotFoundError(NextclickError):
    """The item is known neither to the catalogue nor to the models."""


class UnavailableError(NextclickError):
    """The server cannot be reached, or is not ready, within the deadline; try again later."""


class DeadlineExceededError(NextclickError):
    """No answer within the deadline; raise `timeout_s` or serve without recommendations."""


class OverloadedError(NextclickError):
    """The server refuses more work; slow down and try again."""


class ServerError(NextclickError):
    """The server failed on this request; its log says why."""
