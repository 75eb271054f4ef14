"""Connections to the gateway, bounded in number and in time: uvicorn itself waits for ever.

A client that sends its headers slowly, endless headers, or does not read its answer would keep its
connection, of which there are so many only. What is wrong with a connection is told as a problem,
too.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import TimerHandle

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import metrics
from gateway.problems import ProblemError

HEAD_S = 10.0
"""Time for the headers of a request to come, once it or its connection has begun."""

UNREAD_S = 10.0
"""Time for a client to read on, once its answer waits."""

MAX_HEAD_BYTES = 16_384
"""Path and headers of a request."""

UPGRADE, IGNORED = re.compile(rb"\r\nupgrade:", re.IGNORECASE), b"\r\nignored:"
"""The header that asks for another protocol. httptools would pass over the body of the request;
Java's `HttpClient` asks for HTTP/2 unless it is told not to."""

CLOSE = {"Connection": "close"}


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is closed when its client is too slow, or its headers are too large."""

    _head_timer: TimerHandle | None = None
    _unread_timer: TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        # uvicorn's own limit would refuse the requests of all connections, once there are as many.
        limit, self.limit_concurrency = self.limit_concurrency, None
        if limit is not None and len(self.connections) > limit:
            told = "too many connections; try again later"
            self.app = ProblemError(told, "UNAVAILABLE", headers=CLOSE).response()
        metrics.CONNECTIONS.inc()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        metrics.CONNECTIONS.dec()
        self._end_head()
        self._end_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._head_bytes += len(data)
        super().data_received(UPGRADE.sub(IGNORED, data))  # no JSON has it
        if self._head_timer is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(f"path and headers have more than {MAX_HEAD_BYTES} bytes", 431)
        if self._is_idle():
            # It was a body that came after its answer. uvicorn would wait for ever now.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """See `httptools.HttpRequestParser`."""
        super().on_message_begin()
        self._end_head()
        self._await_head()

    def on_headers_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._end_head()
        if self.parser.should_upgrade():  # a CONNECT, or an `Upgrade` that came in two parts
            raise ValueError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        super().on_message_complete()
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(msg, 400)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._end_unread()
        super().resume_writing()

    def _is_idle(self) -> bool:
        """Whether nothing is under way: no headers, and no request without an answer."""
        answered = self.cycle is not None and self.cycle.response_complete
        return answered and self._head_timer is None and not self.transport.is_closing()

    def _refuse(self, detail: str, status: int) -> None:
        answer = ProblemError(detail, status=status, headers=CLOSE).response()
        head = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + answer.body)
        self.transport.close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
