"""Judges the times of events as the sessions job will, before they are acknowledged."""

from __future__ import annotations

from nextclick.codec import Event
from nextclick.event_types import EVENT_TYPES, Effect
from nextclick.limits import SESSION_LIFE_MS
from nextclick.times import TimeFault, compared_with_arrival, compared_with_session
from server.replica.sessions import SessionTable

MARGIN_MS = 30_000
"""How much earlier or later than now an event may arrive: the broker has a clock of its own, and
the event may have to wait."""

_STEPS = {kind.name for kind in EVENT_TYPES if kind.effect is Effect.STEP}


class EventTimes:
    """The events of one call, in their order.

    Parameters
    ----------
    sessions
        The sessions as far as this replica has read them.
    now_ms
        Milliseconds since 1970.
    """

    def __init__(self, sessions: SessionTable, now_ms: int) -> None:
        self._sessions = sessions
        self._now_ms = now_ms
        self._last_ms: dict[str, int] = {}

    def fault(self, event: Event) -> TimeFault | None:
        """Return what is wrong with the time of the next event, None if it can be taken."""
        time_ms, last_ms = event.timestamp_ms, self._last_step_ms(event)
        fault = compared_with_arrival(time_ms, self._now_ms - MARGIN_MS)
        fault = fault or compared_with_arrival(time_ms, self._now_ms + MARGIN_MS)
        fault = fault or compared_with_session(time_ms, last_ms)
        if fault is None and event.type in _STEPS:
            self._last_ms[event.key] = max(time_ms, last_ms)
        return fault

    def _last_step_ms(self, event: Event) -> int:
        """Return the time of the last step of an event's session, 0 if none is known."""
        if event.key in self._last_ms:
            return self._last_ms[event.key]
        session_id = event.session_id or self._sessions.current_session(event.user_id)
        entry = self._sessions.get(session_id)
        named_otherwise = not event.session_id and not session_id.startswith("u:")
        if entry is None or named_otherwise:
            return 0
        arrived_ms = entry.applied.appended_ms
        expired = arrived_ms and self._now_ms - arrived_ms > SESSION_LIFE_MS
        return 0 if expired else entry.last_ms
