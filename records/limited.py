"""Decoders of messages that have limits: readers refuse what no writer of this project writes.

A record beyond them would take seconds, or memory without end, wherever it is applied. The limits
are those of `nextclick.limits`; the size of a record is checked before, by `check_size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from math import isfinite
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from nextclick.checks import first_too_long
from nextclick.limits import (
    MAX_CLOCK_SKEW_MS,
    MAX_HIDDEN_ITEMS,
    MAX_ID_BYTES,
    MAX_KEY_BYTES,
    MAX_PAGE,
    MAX_POOL_ITEMS,
    MAX_RANKINGS,
    MAX_SCORE_DRIFTS,
    MAX_SCORE_WINDOWS,
    SESSION_STEPS,
)
from nextclick.topics import TOPICS
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.learning_pb2 import Example
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord
from records.errors import RecordError

AnyMessage = TypeVar("AnyMessage", bound=Message)


def check_size(name: str, key: bytes, value: bytes | None) -> None:
    """Raise `RecordError` if a record of a topic, named without tenant, is larger than declared."""
    if len(key) > MAX_KEY_BYTES:
        raise RecordError("key", f"has {len(key)} bytes; at most {MAX_KEY_BYTES} are read")
    most = TOPICS[name].max_value_bytes
    if value is not None and most is not None and len(value) > most:
        raise RecordError("record", f"has {len(value)} bytes; at most {most} are read")


def check_at_most(field: str, values: Sized, most: int) -> None:
    """Raise `RecordError` if a repeated field has more than ``most`` entries."""
    if len(values) > most:
        raise RecordError(field, f"has {len(values)} entries; at most {most} are read")


def check_times(told: SessionRecord | Example, arrived_ms: int | None) -> None:
    """Raise `RecordError` if a record tells of arrivals that cannot have been before its own.

    One from the future would be the last one known of its session until then, and the newest
    session of all, after which sampling begins or ends.

    Parameters
    ----------
    told
        The record.
    arrived_ms
        When the record itself arrived, on the broker's clock; None: where it is stored, that was
        checked before.
    """
    first, last = told.incarnation, told.appended_ms
    if first < 0 or last < 0:
        raise RecordError("incarnation, appended_ms", "must not be negative")
    latest = max(first, last)
    if arrived_ms is not None and latest > arrived_ms + MAX_CLOCK_SKEW_MS:
        ahead = f"are {(latest - arrived_ms) // 1_000} s ahead of the record's arrival"
        most = f"at most {MAX_CLOCK_SKEW_MS // 1_000} are read"
        raise RecordError("incarnation, appended_ms", f"{ahead}; {most}")


def decode_session(value: bytes, arrived_ms: int | None = None) -> SessionRecord:
    """Return the session of a record of `sessions`.

    Parameters
    ----------
    value
        The record's value.
    arrived_ms
        When it arrived; see `check_times`.

    Raises
    ------
    RecordError
        If it is not such a message, has no id, is beyond the limits of sessions, or has a time
        before 1970 or in the future.
    """
    session = _parsed(SessionRecord, value)
    if not session.session_id:
        raise RecordError("session_id", "is missing")
    check_times(session, arrived_ms)
    check_at_most("steps", session.steps, SESSION_STEPS)
    check_at_most("hidden_item_ids", session.hidden_item_ids, MAX_HIDDEN_ITEMS)
    if len(value) > MAX_ID_BYTES:  # otherwise no id in it can be longer
        _check_key("session_id", session.session_id)
        _check_ids("user_id", (session.user_id,))
        _check_ids("steps.item_id", [step.item_id for step in session.steps])
        _check_ids("steps.recommendation_id", [step.recommendation_id for step in session.steps])
        _check_ids("hidden_item_ids", session.hidden_item_ids)
    return session


def decode_impression(value: bytes) -> Impression:
    """Return the answer of a record of `impressions`.

    Raises
    ------
    RecordError
        If it is not such a message, beyond the limits of answers, or has a number that is not
        finite.
    """
    answer = _parsed(Impression, value)
    _check_key("session_id", answer.session_id)
    _check_ids("names", (answer.recommendation_id, answer.model, answer.policy))
    check_at_most("item_ids", answer.item_ids, MAX_PAGE)
    _check_ids("item_ids", answer.item_ids)
    check_at_most("appended_item_ids", answer.appended_item_ids, SESSION_STEPS)
    _check_ids("appended_item_ids", answer.appended_item_ids)
    check_at_most("scores", answer.scores, MAX_PAGE)
    check_at_most("propensities", answer.propensities, MAX_PAGE)
    _check_finite("scores", answer.scores)
    _check_finite("propensities", answer.propensities)
    _check_finite("diversity, popularity", (answer.diversity, answer.popularity))
    check_at_most("pool_item_ids", answer.pool_item_ids, MAX_POOL_ITEMS)
    _check_ids("pool_item_ids", answer.pool_item_ids)
    check_at_most("pool_scores", answer.pool_scores, MAX_POOL_ITEMS)
    _check_finite("pool_scores", answer.pool_scores)
    _check_finite("inclusion_probability", (answer.inclusion_probability,))
    check_at_most("shadows", answer.shadows, MAX_RANKINGS)
    for shadow in answer.shadows:
        _check_ids("shadows.model", (shadow.model,))
        check_at_most("shadows.item_ids", shadow.item_ids, MAX_PAGE)
        _check_ids("shadows.item_ids", shadow.item_ids)
        check_at_most("shadows.scores", shadow.scores, MAX_PAGE)
        _check_finite("shadows.scores", shadow.scores)
        _check_finite("shadows", (shadow.diversity, shadow.popularity))
    return answer


def decode_score(value: bytes) -> Score:
    """Return the score of a record of `scoreboard`.

    Raises
    ------
    RecordError
        If it is not such a message, beyond the limits of scores, or has a number that is not
        finite.
    """
    score = _parsed(Score, value)
    _check_ids("model", (score.model,))
    check_at_most("windows", score.windows, MAX_SCORE_WINDOWS)
    check = score.calibration
    _check_finite("calibration", (check.slope, check.intercept, check.predicted, check.observed))
    _check_finite("click_through_rate", (score.click_through_rate,))
    check_at_most("drifts", score.drifts, MAX_SCORE_DRIFTS)
    for drift in score.drifts:
        _check_finite("drifts", (drift.hit_rate_before, drift.hit_rate_after))
    for window in score.windows:
        check_at_most("windows.at", window.at, MAX_SCORE_WINDOWS)
        _check_finite("windows", (window.coverage, window.diversity, window.popularity))
        for at in window.at:
            _check_finite("windows.at", (at.hit_rate, at.mrr, at.ndcg))
    return score


def _parsed(kind: type[AnyMessage], value: bytes) -> AnyMessage:
    try:
        return kind.FromString(value)
    except DecodeError as e:
        raise RecordError("record", f"is no {kind.DESCRIPTOR.name}: {e}") from None


def _check_finite(field: str, numbers: Iterable[float]) -> None:
    if not all(map(isfinite, numbers)):
        raise RecordError(field, "has a number that is not finite")


def _check_key(field: str, text: str) -> None:
    if len(text.encode()) > MAX_KEY_BYTES:
        raise RecordError(field, f"has more than {MAX_KEY_BYTES} bytes")


def _check_ids(field: str, texts: Sequence[str]) -> None:
    if first_too_long(texts, MAX_ID_BYTES) is not None:
        raise RecordError(field, f"has more than {MAX_ID_BYTES} bytes")
