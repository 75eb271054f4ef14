"""The events of one `put_events` on their way, over as many attempts as it takes."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence

from nextclick.codec import Event, event_faults
from nextclick.convert import event_to_proto
from nextclick.errors import FieldFault, InvalidRequestError, NextclickError, listed
from nextclick.limits import MAX_PUT_EVENTS
from nextclick.results import EventError, PutResult
from nextclick.v1 import event_service_pb2 as pb


def with_event_ids(events: Iterable[Event]) -> list[Event]:
    """Return the events, each under an event_id: a new one where it has none.

    The clients do so before their first attempt. Do it yourself before `put_events` if you want
    to send the same events again after an error, so that none counts twice.
    """
    return [
        event if event.event_id else dataclasses.replace(event, event_id=uuid.uuid4().hex)
        for event in events
    ]


class Batch:
    """What is accepted, what failed, and what is still to be sent.

    Use: while `request` gives one, send it and pass its response to `take`.

    Raises
    ------
    InvalidRequestError
        If there are none or more than `MAX_PUT_EVENTS`.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        if not 1 <= len(events) <= MAX_PUT_EVENTS:
            fault = f"send 1 to {MAX_PUT_EVENTS} a call, not {len(events)}: split them"
            raise InvalidRequestError("", (FieldFault("events", fault),))
        self._accepted = 0
        self._answered = False
        self._errors: list[EventError] = []
        self._waiting: list[tuple[int, Event]] = []
        for index, event in enumerate(with_event_ids(events)):
            if faults := event_faults(event):
                self._errors.append(
                    EventError(index, event, listed(faults), faults, retryable=False)
                )
            else:
                self._waiting.append((index, event))

    def request(self) -> pb.PutEventsRequest | None:
        """Return the next attempt, None if nothing waits."""
        if not self._waiting:
            return None
        return pb.PutEventsRequest(events=[event_to_proto(event) for _, event in self._waiting])

    def take(self, response: pb.PutEventsResponse) -> bool:
        """Take the answer of an attempt; return whether events wait for another one."""
        self._answered = True
        waiting = []
        for error in response.errors:
            index, event = self._waiting[error.index]
            if error.retryable:
                waiting.append((index, event))
            else:
                faults = tuple(FieldFault(f.field, f.description) for f in error.faults)
                self._errors.append(EventError(index, event, error.message, faults, False))
        self._accepted += len(self._waiting) - len(response.errors)
        self._waiting = waiting
        return bool(waiting)

    def give_up(self, error: NextclickError | None = None) -> None:
        """Report what still waits as failed; raise ``error`` if the server never answered."""
        if error is not None and not self._answered:
            raise error
        message = str(error) if error else "the broker did not acknowledge it; send it again later"
        again = not isinstance(error, InvalidRequestError)
        for index, event in self._waiting:
            self._errors.append(EventError(index, event, message, (), again))
        self._waiting = []

    def result(self) -> PutResult:
        """Return what became of all events."""
        return PutResult(self._accepted, tuple(sorted(self._errors, key=lambda e: e.index)))
