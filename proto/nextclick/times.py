"""Whether the time of an event can be taken: one rule for all who judge it.

The sessions job makes dead letters of the events that it refuses, and the server refuses them when
they are sent, while their sender is still listening.
"""

from __future__ import annotations

from typing import NamedTuple

from nextclick.codec import DeadLetterReason
from nextclick.limits import DAY_MS, MAX_AGE_MS, MAX_AHEAD_MS, MAX_LATE_MS, MINUTE_MS
from nextclick.units import unit_hint


class TimeFault(NamedTuple):
    """Why a time cannot be taken; ``detail`` follows the name of the field."""

    reason: DeadLetterReason
    detail: str


def compared_with_arrival(
    timestamp_ms: int, arrival_ms: int, margin_ms: int = 0
) -> TimeFault | None:
    """Return what is wrong with the time of an event that is no history's, None if nothing.

    Parameters
    ----------
    timestamp_ms
        The event's own time.
    arrival_ms
        When its record arrived, on the broker's clock.
    margin_ms
        By how much that may be wrong.
    """
    ahead = timestamp_ms - arrival_ms
    most_ahead = MAX_AHEAD_MS - margin_ms
    if ahead > most_ahead:
        return TimeFault(
            DeadLetterReason.FROM_FUTURE,
            f"{ahead // 1000} s after its arrival; at most {most_ahead // 1000} are taken; "
            f"{unit_hint(timestamp_ms)}",
        )
    if -ahead > MAX_AGE_MS - margin_ms:
        return TimeFault(
            DeadLetterReason.TOO_LATE,
            f"{-ahead / DAY_MS:.1f} days before its arrival; less than {MAX_AGE_MS // DAY_MS} are "
            f"taken; {unit_hint(timestamp_ms)}; `nextclick import` and the header replay are for "
            "histories",
        )
    return None


def compared_with_session(timestamp_ms: int, last_timestamp_ms: int) -> TimeFault | None:
    """Return what is wrong with the time of an event of a session that has steps, or None.

    Parameters
    ----------
    timestamp_ms
        The event's own time.
    last_timestamp_ms
        The time of the session's last step.
    """
    late = last_timestamp_ms - timestamp_ms
    if late <= MAX_LATE_MS:
        return None
    return TimeFault(
        DeadLetterReason.TOO_LATE,
        f"{late // MINUTE_MS} minutes before the last step of its session; "
        f"at most {MAX_LATE_MS // MINUTE_MS} are taken",
    )
