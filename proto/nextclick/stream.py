"""One stream of requests and answers: its deadline, and what may go wrong on either side."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from nextclick.calls import StreamCall
from nextclick.errors import DeadlineExceededError

T = TypeVar("T")


class Stream(Generic[T]):
    """Requests go out while answers come in; neither waits here.

    Only the time in which the caller waits for an answer whose request is out counts against
    the deadline: neither a slow source of requests nor a slow caller makes an answer overdue.
    gRPC reads the requests ahead, the blocking one on a thread of its own: what is shared is
    written by one side only.

    Parameters
    ----------
    call
        What is streamed.
    timeout_s
        The longest wait for one answer; seconds.
    """

    def __init__(self, call: StreamCall[T], timeout_s: float) -> None:
        self._call = call
        self._timeout_s = timeout_s
        self._sent = 0
        self._sent_at = 0.0
        self._answered = 0
        self._awaited_at: float | None = None
        self._fault: Exception | None = None
        self._overdue = False

    def messages(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Yield the messages to send; a fault ends them and is kept for `end`."""
        try:
            for request in requests:
                yield self._message(request)
        except Exception as fault:
            self._fault = fault

    async def messages_async(
        self, requests: Iterable[Any] | AsyncIterable[Any]
    ) -> AsyncIterator[Any]:
        """Yield what `messages` does."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    yield self._message(request)
            else:
                for request in requests:
                    yield self._message(request)
        except Exception as fault:
            self._fault = fault

    def wait(self) -> None:
        """Note that the caller waits for the next answer from now on."""
        self._awaited_at = time.monotonic()

    def take(self, response: Any) -> T:
        """Return the answer that has come."""
        self._awaited_at = None
        self._answered += 1
        return self._call.parse(response)

    def seconds_left(self) -> float:
        """Return when to look again, in seconds; 0 or less if an answer is overdue now."""
        awaited_at = self._awaited_at
        if awaited_at is None or self._sent == self._answered:
            return self._timeout_s
        left = max(awaited_at, self._sent_at) + self._timeout_s - time.monotonic()
        self._overdue = left <= 0
        return left

    def end(self) -> None:
        """Raise what ended the requests early, once all answers to those before are in."""
        if self._fault is not None:
            raise self._fault

    def raise_if_overdue(self) -> None:
        """Raise the error for an answer that has not come in time."""
        if self._overdue:
            raise DeadlineExceededError(
                f"no answer to request {self._answered} within {self._timeout_s} s; "
                "raise timeout_s, or serve without"
            )

    def _message(self, request: Any) -> Any:
        message = self._call.build(request)
        if self._sent == self._answered:  # nothing else is out: its answer is the next one
            self._sent_at = time.monotonic()
        self._sent += 1
        return message
