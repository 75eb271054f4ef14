"""Times of events: which are taken, and which unit a sender probably meant."""

from __future__ import annotations

import pytest

from nextclick.codec import DeadLetterReason, Event, InvalidEventError, encode_event
from nextclick.limits import DAY_MS, MAX_AGE_MS, MAX_AHEAD_MS, MAX_LATE_MS
from nextclick.times import compared_with_arrival, compared_with_session
from nextclick.units import HINT, unit_hint

NOW_S = 1_764_245_000
NOW_MS = NOW_S * 1_000


@pytest.mark.parametrize("away_ms", [0, MAX_AHEAD_MS, -MAX_AGE_MS])
def test_a_time_within_the_limits_is_taken(away_ms: int) -> None:
    """The limits are documented as the last that are taken."""
    assert compared_with_arrival(NOW_MS + away_ms, NOW_MS) is None


@pytest.mark.parametrize(
    ("timestamp_ms", "reason", "words"),
    [
        (NOW_MS + MAX_AHEAD_MS + 1, DeadLetterReason.FROM_FUTURE, "300 s after its arrival"),
        (NOW_MS + DAY_MS, DeadLetterReason.FROM_FUTURE, HINT),
        (NOW_MS - MAX_AGE_MS - 1, DeadLetterReason.TOO_LATE, "header replay"),
        (NOW_S, DeadLetterReason.TOO_LATE, "it looks like seconds"),
    ],
)
def test_a_time_beyond_the_limits_is_told_with_what_to_do(
    timestamp_ms: int, reason: DeadLetterReason, words: str
) -> None:
    """Who reads it has to find the mistake in a sender that somebody else wrote."""
    fault = compared_with_arrival(timestamp_ms, NOW_MS)
    assert fault is not None
    assert fault.reason is reason
    assert words in fault.detail


def test_a_step_is_compared_with_the_last_one_of_its_session() -> None:
    """The server and the job must agree to the millisecond."""
    assert compared_with_session(NOW_MS - MAX_LATE_MS, NOW_MS) is None
    fault = compared_with_session(NOW_MS - MAX_LATE_MS - 1, NOW_MS)
    assert fault is not None
    assert fault.reason is DeadLetterReason.TOO_LATE


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [
        (NOW_S, "seconds"),
        (NOW_S + 0.25, "seconds"),
        (NOW_MS * 1_000, "microseconds"),
        (NOW_MS * 1_000_000, "nanoseconds"),
    ],
)
def test_the_unit_that_was_probably_meant_is_named(timestamp: float, unit: str) -> None:
    """Each language has another default; the number alone tells which one it was."""
    assert f"it looks like {unit};" in unit_hint(timestamp)


def test_no_unit_is_named_where_none_fits() -> None:
    """A wrong guess sends people into the wrong code."""
    for timestamp in (1, -1, NOW_MS, float("nan"), float("inf"), 10**5_000):
        assert unit_hint(timestamp) == HINT


def test_a_time_that_is_no_number_of_milliseconds_is_told_its_unit() -> None:
    """Microseconds are out of range, seconds with a fraction are no integer."""
    for timestamp, unit in ((NOW_MS * 1_000, "microseconds"), (NOW_S + 0.5, "seconds")):
        with pytest.raises(InvalidEventError, match=f"it looks like {unit}"):
            encode_event(Event("view", "a", timestamp, session_id="s"))  # type: ignore[arg-type]
