"""Errors of calls that cannot be answered: a google.rpc code, and what is wrong by field."""

from __future__ import annotations

from collections.abc import Sequence

from google.rpc import code_pb2

from nextclick.errors import FieldFault


class RequestError(Exception):
    """A call cannot be answered: the code, and everything that is wrong, by field."""

    def __init__(
        self, message: str, faults: Sequence[FieldFault] = (), code: int = code_pb2.INVALID_ARGUMENT
    ) -> None:
        self.message = message or "; ".join(f"{f.field}: {f.description}" for f in faults)
        self.faults = faults
        self.code = code
        super().__init__(self.message)


def not_found(message: str) -> RequestError:
    """Return the error for something that does not exist."""
    return RequestError(message, code=code_pb2.NOT_FOUND)


def unauthenticated(message: str) -> RequestError:
    """Return the error for a call without valid credentials."""
    return RequestError(message, code=code_pb2.UNAUTHENTICATED)


def permission_denied(message: str) -> RequestError:
    """Return the error for a call whose credentials are not for it."""
    return RequestError(message, code=code_pb2.PERMISSION_DENIED)


def overloaded(message: str) -> RequestError:
    """Return the error for a call beyond a limit on concurrent calls."""
    return RequestError(message, code=code_pb2.RESOURCE_EXHAUSTED)


def unimplemented(message: str) -> RequestError:
    """Return the error for a call that its caller can do without."""
    return RequestError(message, code=code_pb2.UNIMPLEMENTED)


def unavailable(message: str) -> RequestError:
    """Return the error for a call that may succeed when it is sent again."""
    return RequestError(message, code=code_pb2.UNAVAILABLE)


def internal(request: str) -> RequestError:
    """Return the error for a bug or failure of the server itself, which has logged it."""
    return RequestError(
        f"internal error; see request {request} in the server's log", code=code_pb2.INTERNAL
    )


def code_name(error: RequestError) -> str:
    """Return the name of the error's code."""
    return str(code_pb2.Code.Name(error.code))
