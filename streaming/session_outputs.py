"""Outputs of the sessions job: a session's record, its tombstone, or a dead letter.

The sessions of signed-in users are handed over to `streaming.profiles`, too.
"""

from __future__ import annotations

from typing import Any

from nextclick.limits import SESSION_LIFE_MS
from nextclick.topics import DEAD_LETTERS, SESSIONS
from streaming.output import Handover, Output
from streaming.profiles import ERASED_SESSIONS
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, Erasure, RatingThresholds, process

MAX_DETAIL = 1_000
"""The most characters of the header `detail`."""


def to_outputs(
    state: bytes | None,
    raw: RawRecord,
    ratings: RatingThresholds,
    life_ms: int = SESSION_LIFE_MS,
) -> tuple[bytes | None, tuple[Output | Handover, ...]]:
    """Return the key's state after a record, and the records to write; see `sessionize.process`."""
    after, outcome = process(state, raw, ratings, life_ms)
    if isinstance(outcome, DeadLetter):
        return after, (Output(DEAD_LETTERS, raw.key, raw.value, headers(outcome, raw)),)
    erased = isinstance(outcome, Erasure)
    record = Output(SESSIONS, outcome.session_id.encode(), b"" if erased else outcome.record)
    if not outcome.user_id:
        return after, (record,)
    handed = raw._replace(
        value=outcome.record,
        key=outcome.user_id.encode(),
        topic=ERASED_SESSIONS if erased else SESSIONS,
    )
    return after, (record, Handover(outcome.user_id, handed))


def headers(letter: DeadLetter, raw: RawRecord) -> str:
    """Return the headers of a dead letter as lines of ``name=value``."""
    detail = letter.detail[:MAX_DETAIL].encode("utf-8", "replace").decode()
    fields: dict[str, Any] = {
        "reason": letter.reason,
        "detail": " ".join(detail.split()),
        "topic": raw.topic,
        "partition": raw.partition,
        "offset": raw.offset,
    }
    return "\n".join(f"{name}={value}" for name, value in fields.items())
