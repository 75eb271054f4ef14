"""Errors of calls that cannot be answered: a google.rpc code, and what is wrong by field."""

from __future__ import annotations

from collections.abc import Sequence

from google.rpc import code_pb2

from nextclick.errors import FieldFault

MOST_FAULTS, MOST_CHARACTERS = 20, 1_500
"""Faults that are told of a call, and characters of all of them: an error is sent as metadata, and
clients refuse more than 8 KiB of these."""


class RequestError(Exception):
    """A call cannot be answered: the code, and what is wrong, by field, as far as there is room."""

    def __init__(
        self, message: str, faults: Sequence[FieldFault] = (), code: int = code_pb2.INVALID_ARGUMENT
    ) -> None:
        self.faults = _first(faults)
        told = [f"{f.field}: {f.description}" for f in self.faults]
        if len(told) < len(faults):
            told.append(f"and {len(faults) - len(told)} more")
        self.message = message or "; ".join(told)
        self.code = code
        super().__init__(self.message)


def _first(faults: Sequence[FieldFault]) -> Sequence[FieldFault]:
    """Return the faults that there is room for, one at least."""
    characters = 0
    for n, fault in enumerate(faults[:MOST_FAULTS]):
        characters += len(fault.field) + len(fault.description)
        if n and characters > MOST_CHARACTERS:
            return faults[:n]
    return faults[:MOST_FAULTS]


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
