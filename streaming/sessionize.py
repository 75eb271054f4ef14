"""Sessionisation: one raw record and a session's state in, the new state and one outcome out.

Pure and deterministic: what happens depends on the record, its append time and the state
of its key, so reprocessing the same offsets gives the same bytes. The Flink operator
around it is in ``jobs/``; `nextclick evaluate` and the tests call it as it is.

Every record has exactly one outcome: it is applied, counted as a duplicate, or a dead
letter.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import NamedTuple

from nextclick.codec import DeadLetterReason, Event, InvalidEventError, decode_event
from nextclick.v1 import session_pb2 as pb

MAX_STEPS = 50
"""Steps that a record carries."""

MAX_SESSION_STEPS = 5_000
"""Steps that a session may have; more are a robot's."""

MAX_EVENT_IDS = 256
"""Last event ids of a key that repetitions are recognised by."""

MAX_HIDDEN = 50
MINUTE_MS = 60_000
LATE_MS = IDLE_MS = 30 * MINUTE_MS
FUTURE_MS = 5 * MINUTE_MS
MAX_AGE_MS = 7 * 24 * 60 * MINUTE_MS
"""Events older than the events topic keeps its records are from a broken clock."""

STATE_VERSION = 1
_HEAD = struct.Struct("<BI")

STEP_TYPES = {
    "view": pb.EVENT_TYPE_VIEW,
    "click": pb.EVENT_TYPE_CLICK,
    "play": pb.EVENT_TYPE_PLAY,
}
STRENGTHENING_TYPES = {
    "add_to_cart": pb.EVENT_TYPE_ADD_TO_CART,
    "like": pb.EVENT_TYPE_LIKE,
    "purchase": pb.EVENT_TYPE_PURCHASE,
}
STRENGTH = {pb.EVENT_TYPE_ADD_TO_CART: 1, pb.EVENT_TYPE_LIKE: 2, pb.EVENT_TYPE_PURCHASE: 3}


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings: ratings from `like_from` on are likes, up to `dislike_to` dislikes."""

    like_from: float = 4.0
    dislike_to: float = 2.0


class RawRecord(NamedTuple):
    """A record of the topic `events` as it lies in Kafka."""

    value: bytes
    key: bytes
    topic: str
    partition: int
    offset: int
    append_time_ms: int
    replayed: bool = False


class Update(NamedTuple):
    """The session after the event: the record's key and value on `sessions`."""

    session_id: str
    record: bytes


class DeadLetter(NamedTuple):
    """Why the record cannot be used."""

    reason: DeadLetterReason
    detail: str


class State(NamedTuple):
    """What is kept of a key: its session, and the hashes of its last event ids."""

    session: pb.SessionRecord
    event_ids: bytes

    def to_bytes(self, record: bytes) -> bytes:
        """Return the state as versioned bytes; ``record`` is the serialised session."""
        return _HEAD.pack(STATE_VERSION, len(record)) + record + self.event_ids

    @classmethod
    def from_bytes(cls, raw: bytes) -> State:
        """Return the state that `to_bytes` packed."""
        version, size = _HEAD.unpack_from(raw)
        if version != STATE_VERSION:
            raise ValueError(f"state version {version}: this job reads version {STATE_VERSION}")
        end = _HEAD.size + size
        return cls(pb.SessionRecord.FromString(raw[_HEAD.size : end]), raw[end:])


DEFAULT_RULES = Rules()


def process(
    state: bytes | None, raw: RawRecord, rules: Rules = DEFAULT_RULES
) -> tuple[bytes | None, Update | DeadLetter]:
    """Return the key's state after a record, and the record's outcome.

    Parameters
    ----------
    state
        The state of the record's key as returned last time, None at first.
    raw
        The record.
    rules
        Settings.
    """
    try:
        event = decode_event(raw.value)
    except InvalidEventError as e:
        return state, DeadLetter(e.reason, str(e))
    dead = _wrong_record(event, raw)
    if dead:
        return state, dead
    before = State.from_bytes(state) if state else State(pb.SessionRecord(), b"")
    session, event_ids = before
    event_hash = b""
    if event.event_id:
        event_hash = hashlib.blake2b(event.event_id.encode(), digest_size=8).digest()
        if _contains(event_ids, event_hash):
            session.duplicates += 1
            return _outcome(session, event_ids)
    late = session.last_timestamp_ms - event.timestamp_ms
    if session.steps and late > LATE_MS:
        minutes = late // MINUTE_MS
        return state, DeadLetter(
            DeadLetterReason.TOO_LATE,
            f"timestamp_ms: {minutes} minutes before the last step of its session; "
            f"at most {LATE_MS // MINUTE_MS} are taken",
        )
    if event.session_id:
        session.session_id = event.session_id
    elif not session.session_id or (session.steps and -late > IDLE_MS):
        session = _next_session(session, event.user_id)
    if not _apply(session, event, rules):
        return state, DeadLetter(
            DeadLetterReason.SESSION_FULL,
            f"session_id: the session has {MAX_SESSION_STEPS} steps already; start a new one",
        )
    if event.user_id and not session.user_id:
        session.user_id = event.user_id
    session.applied += 1
    if event_hash:
        event_ids = (event_ids + event_hash)[-8 * MAX_EVENT_IDS :]
    return _outcome(session, event_ids)


def _wrong_record(event: Event, raw: RawRecord) -> DeadLetter | None:
    if raw.key != event.key.encode():
        shown = raw.key[:64].decode(errors="replace")
        return DeadLetter(
            DeadLetterReason.WRONG_KEY,
            f"key: is {shown!r}; set the record's key to session_id, else to u:<user_id>",
        )
    if raw.replayed:
        return None
    ahead = event.timestamp_ms - raw.append_time_ms
    if ahead > FUTURE_MS:
        return DeadLetter(
            DeadLetterReason.FROM_FUTURE,
            f"timestamp_ms: {ahead // 1000} s after its arrival; at most {FUTURE_MS // 1000} "
            "are taken: send milliseconds since 1970, UTC",
        )
    if -ahead > MAX_AGE_MS:
        return DeadLetter(
            DeadLetterReason.TOO_LATE,
            f"timestamp_ms: {-ahead // 86_400_000} days before its arrival; at most "
            f"{MAX_AGE_MS // 86_400_000} are taken: mark histories with the header replay",
        )
    return None


def _contains(event_ids: bytes, event_hash: bytes) -> bool:
    at = event_ids.find(event_hash)
    while at >= 0 and at % 8:
        at = event_ids.find(event_hash, at + 1)
    return at >= 0


def _next_session(last: pb.SessionRecord, user_id: str) -> pb.SessionRecord:
    """Return an empty session of a user who sends no session ids: ``u:<user_id>~<n>``."""
    n = int(last.session_id.rpartition("~")[2]) + 1 if last.session_id else 1
    return pb.SessionRecord(session_id=f"u:{user_id}~{n}")


def _apply(session: pb.SessionRecord, event: Event, rules: Rules) -> bool:
    """Apply an event to its session; False if the session is full."""
    kind = event.type
    if kind == "rating" and event.value is not None:
        if event.value >= rules.like_from:
            kind = "like"
        elif event.value <= rules.dislike_to:
            kind = "dislike"
    if kind == "dislike":
        session.version += 1
        if event.item_id not in session.hidden_item_ids:
            session.hidden_item_ids.append(event.item_id)
            del session.hidden_item_ids[:-MAX_HIDDEN]
        return True
    if kind in STRENGTHENING_TYPES:
        step_type = STRENGTHENING_TYPES[kind]
        if session.steps and session.steps[-1].item_id == event.item_id:
            _strengthen(session, event, step_type)
            return True
    elif kind in STEP_TYPES:
        step_type = STEP_TYPES[kind]
    elif kind == "rating":
        step_type = pb.EVENT_TYPE_RATING
    else:
        return True
    if session.step_count >= MAX_SESSION_STEPS:
        return False
    _add_step(session, event, step_type)
    return True


def _strengthen(session: pb.SessionRecord, event: Event, step_type: pb.EventType) -> None:
    session.version += 1
    step = session.steps[-1]
    step.strengthened_seq = session.version
    if STRENGTH[step_type] > STRENGTH.get(step.type, 0):
        step.type = step_type


def _add_step(session: pb.SessionRecord, event: Event, step_type: pb.EventType) -> None:
    session.version += 1
    session.step_count += 1
    in_order = event.timestamp_ms >= session.last_timestamp_ms
    session.steps.add(
        item_id=event.item_id,
        timestamp_ms=event.timestamp_ms,
        seq=session.version,
        type=step_type,
        recommendation_id=event.recommendation_id,
        position=event.position,
    )
    if session.step_count == 1 or event.timestamp_ms < session.first_timestamp_ms:
        session.first_timestamp_ms = event.timestamp_ms
    if in_order:
        session.last_timestamp_ms = event.timestamp_ms
    else:
        session.steps.sort(key=lambda step: (step.timestamp_ms, step.seq))
    if len(session.steps) > MAX_STEPS:
        del session.steps[0]


def _outcome(session: pb.SessionRecord, event_ids: bytes) -> tuple[bytes, Update]:
    record = session.SerializeToString(deterministic=True)
    return State(session, event_ids).to_bytes(record), Update(session.session_id, record)
