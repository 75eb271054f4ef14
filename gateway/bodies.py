"""Bodies of requests: read within bounds of size, time, and memory for all of them together."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from gateway.problems import ProblemError
from nextclick.limits import MAX_MESSAGE_BYTES

MAX_HELD_BYTES = 64 << 20
"""Bytes of all bodies that are read or worked on."""

READ_S = 10.0
"""Time for a body to come."""

MEDIA_TYPES = {"", "application/json", "text/plain"}
"""Types of a body; ``navigator.sendBeacon`` says text/plain of a text, none of some blobs."""


class Bodies:
    """Reads bodies. Who has read one gives its bytes back (`give_back`)."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises
        ------
        ProblemError
            If it is of another type, too large, too late, or there is no room for it.
        """
        said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if said not in MEDIA_TYPES:
            raise ProblemError("send JSON, as application/json or text/plain", status=415)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise ProblemError("send the body as it is, without Content-Encoding", status=415)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_MESSAGE_BYTES:
            raise _too_large()
        read = b""
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in request.stream():
                    read += chunk
                    self._held += len(chunk)
                    self._check(len(read))
        except BaseException as e:
            self.give_back(read)
            if isinstance(e, TimeoutError):
                told = f"the body has not come within {READ_S:.0f} s"
                raise ProblemError(told, "DEADLINE_EXCEEDED", status=408) from None
            if isinstance(e, ClientDisconnect):
                raise ProblemError("the client has left", "CANCELLED") from None
            raise
        return read

    def give_back(self, body: bytes) -> None:
        """Give back the room that a body has taken."""
        self._held -= len(body)

    def _check(self, size: int) -> None:
        if size > MAX_MESSAGE_BYTES:
            raise _too_large()
        if self._held > MAX_HELD_BYTES:
            raise ProblemError(
                "too many large requests at once; try again later", "RESOURCE_EXHAUSTED"
            )


def _too_large() -> ProblemError:
    return ProblemError(f"the body has more than {MAX_MESSAGE_BYTES} bytes", status=413)
