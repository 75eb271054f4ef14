"""Judges the times of events as the sessions job will, before they are acknowledged."""

from __future__ import annotations

import threading
from typing import NamedTuple

from nextclick.codec import Event
from nextclick.event_types import EVENT_TYPES, Effect
from nextclick.times import TimeFault, compared_with_arrival, compared_with_session
from server.replica.sessions import SessionTable

MARGIN_MS = 30_000
"""How much earlier or later than now an event may arrive: the broker has a clock of its own, and
the event may have to wait."""

TAKEN_MS = 60_000
"""For so long the last step that was taken of a session is remembered: by then, the replica should
have read it."""

TAKEN = 4_096
"""Sessions of which it is: so many at least, those whose steps were taken last, and at most twice
as many. One dictionary that loses its oldest key at each step would take 5 us an event."""

_MAY_BE_STEPS = {kind.name for kind in EVENT_TYPES if kind.effect is not Effect.HIDES}
"""Whether one of the others is a step depends on the step before it, and on the job's arguments."""


class Step(NamedTuple):
    """The last step of a session: its own time, and when the session's last event arrived."""

    time_ms: int
    arrived_ms: int


class EventTimes:
    """Judges events in the order in which they come.

    Parameters
    ----------
    sessions
        The sessions as far as this replica has read them.
    life_ms
        After so long without an event, the job has forgotten a session.
    """

    def __init__(self, sessions: SessionTable, life_ms: int) -> None:
        self._sessions = sessions
        self._life_ms = life_ms
        self._taken: dict[str, Step] = {}
        """The last step that was taken under each record key."""
        self._taken_before: dict[str, Step] = {}
        """The same of the `TAKEN` sessions before these."""
        self._lock = threading.Lock()

    def fault(self, event: Event, now_ms: int) -> TimeFault | None:
        """Return what is wrong with the time of the next event, None if it is taken.

        Parameters
        ----------
        event
            The event, which is sent if there is no fault.
        now_ms
            Milliseconds since 1970.
        """
        time_ms = event.timestamp_ms
        fault = compared_with_arrival(time_ms, now_ms, MARGIN_MS)
        if fault is not None:
            return fault
        key = event.key
        with self._lock:
            last_ms = max(self._last_taken_ms(key, now_ms), self._last_read_ms(event, now_ms))
            fault = compared_with_session(time_ms, last_ms)
            if fault is None and event.type in _MAY_BE_STEPS:
                self._taken[key] = Step(max(time_ms, last_ms), now_ms)
                if len(self._taken) >= TAKEN:
                    self._taken_before, self._taken = self._taken, {}
        return fault

    def _last_taken_ms(self, key: str, now_ms: int) -> int:
        """Return the time of the last step taken under a record key, 0 if none is remembered."""
        step = self._taken.get(key) or self._taken_before.get(key)
        if step is None or now_ms - step.arrived_ms > TAKEN_MS:
            return 0
        return self._unexpired_ms(*step, now_ms)

    def _last_read_ms(self, event: Event, now_ms: int) -> int:
        """Return the time of the last step of an event's session, 0 if none is known."""
        name = event.session_id or self._sessions.last_visit(event.user_id)
        entry = self._sessions.get(name)
        if entry is None:
            return 0
        return self._unexpired_ms(entry.last_ms, entry.applied.appended_ms, now_ms)

    def _unexpired_ms(self, time_ms: int, arrived_ms: int, now_ms: int) -> int:
        """Return the time of a step, 0 if the job has surely forgotten its session."""
        gone_ms = now_ms - MARGIN_MS - arrived_ms
        return 0 if arrived_ms and gone_ms > self._life_ms else time_ms
