"""Sessionisation: a raw record and its key's state in, the new state and one outcome out.

Pure and deterministic: the outcome depends only on the record, its append time and the state of
its key, so reprocessing the same offsets gives the same bytes. The Flink operator that hosts it
is in ``jobs/``.

Every record has exactly one outcome: it is applied, counted as a duplicate, erases its session, or
becomes a dead letter.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import NamedTuple

from nextclick.codec import DeadLetterReason, Event, InvalidEventError, decode_event
from nextclick.context import NAMES, NOWHERE
from nextclick.event_types import DISLIKE, EVENT_TYPES, LIKE, Effect, EventType
from nextclick.limits import (
    MAX_EVENT_IDS,
    MAX_HIDDEN_ITEMS,
    MAX_KEY_BYTES,
    MAX_SESSION_STEPS,
    SESSION_IDLE_MS,
    SESSION_LIFE_MS,
    SESSION_STEPS,
)
from nextclick.times import TimeFault, compared_with_arrival, compared_with_session
from nextclick.v1 import session_pb2 as pb
from records.session_life import last_arrival
from streaming.raw_record import RawRecord

STATE_VERSION = 1
_HEAD = struct.Struct("<BI")

_TYPES = {kind.name: kind for kind in EVENT_TYPES}
_NUMBERS: dict[str, pb.EventType] = {kind.name: getattr(pb, kind.enum_name) for kind in EVENT_TYPES}
_STRENGTHS = {_NUMBERS[kind.name]: kind.strength for kind in EVENT_TYPES}


@dataclass(frozen=True, slots=True)
class RatingThresholds:
    """Ratings of at least `like_from` count as likes, those of at most `dislike_to` as dislikes."""

    like_from: float = 4.0
    dislike_to: float = 2.0


class Update(NamedTuple):
    """The session after the event: the record's key and value on `sessions`, and its user."""

    session_id: str
    record: bytes
    user_id: str = ""


class Erasure(NamedTuple):
    """The session is erased: the key of the tombstone on `sessions`, and the session as it was."""

    session_id: str
    record: bytes = b""
    user_id: str = ""


class DeadLetter(NamedTuple):
    """Why the record cannot be used."""

    reason: DeadLetterReason
    detail: str


class KeyState(NamedTuple):
    """The state of a key: its session, and the hashes of its last event ids."""

    session: pb.SessionRecord
    event_ids: bytes

    def to_bytes(self, record: bytes) -> bytes:
        """Return the state as versioned bytes; ``record`` is the serialised session."""
        return _HEAD.pack(STATE_VERSION, len(record)) + record + self.event_ids

    @classmethod
    def from_bytes(cls, raw: bytes) -> KeyState:
        """Return the state that `to_bytes` packed."""
        version, size = _HEAD.unpack_from(raw)
        if version != STATE_VERSION:
            raise ValueError(f"state version {version}: this job reads version {STATE_VERSION}")
        end = _HEAD.size + size
        return cls(pb.SessionRecord.FromString(raw[_HEAD.size : end]), raw[end:])


DEFAULT_THRESHOLDS = RatingThresholds()


def process(
    state: bytes | None,
    raw: RawRecord,
    ratings: RatingThresholds = DEFAULT_THRESHOLDS,
    life_ms: int = SESSION_LIFE_MS,
) -> tuple[bytes | None, Update | Erasure | DeadLetter]:
    """Return the key's state after a record, and the record's outcome.

    A record without a value erases the session of its key: here, and by a tombstone wherever
    `sessions` is read. The key's next event begins a session that knows nothing of it.

    Parameters
    ----------
    state
        The state of the record's key, as returned for the record before; None at first.
    raw
        The record.
    ratings
        Which ratings count as likes and dislikes.
    life_ms
        How long after its last event a key's state expires, on the clock of the broker; the next
        event finds none. So it does not matter when Flink clears it.
    """
    if not raw.value and raw.key:
        return _erased(state, raw)
    return _processed(state, raw, ratings, life_ms)


def _processed(
    state: bytes | None, raw: RawRecord, ratings: RatingThresholds, life_ms: int
) -> tuple[bytes | None, Update | DeadLetter]:
    """Return the key's state after an event, and its outcome."""
    try:
        event = decode_event(raw.value)
    except InvalidEventError as e:
        return state, DeadLetter(e.reason, str(e))
    dead = _wrong_record(event, raw)
    if dead:
        return state, dead
    session, event_ids = _unexpired(state, raw.append_time_ms - life_ms)
    event_hash = b""
    if event.event_id:
        event_hash = hashlib.blake2b(event.event_id.encode(), digest_size=8).digest()
        if _contains(event_ids, event_hash):
            session.duplicates += 1
            return _outcome(session, event_ids)
    last_ms = session.last_timestamp_ms
    fault = compared_with_session(event.timestamp_ms, last_ms) if session.steps else None
    if fault:
        return state, _dead(fault)
    idle_ms = event.timestamp_ms - last_ms
    if event.session_id:
        session.session_id = event.session_id
    elif not session.session_id or (session.steps and idle_ms > SESSION_IDLE_MS):
        place = f"{raw.append_time_ms}.{raw.offset}"
        session = pb.SessionRecord(session_id=f"u:{event.user_id}~{place}")
    if not session.applied:
        session.incarnation = raw.append_time_ms
    session.appended_ms = last_arrival(session.appended_ms, raw.append_time_ms)
    version = session.version
    if not _apply(session, event, ratings):
        return state, DeadLetter(
            DeadLetterReason.SESSION_FULL,
            f"session_id: the session has {MAX_SESSION_STEPS} steps already; start a new one",
        )
    said_more = _note_user(session, event)
    if event.context != NOWHERE:
        said_more |= _note_context(session, event, late=idle_ms < 0)
    if said_more and session.version == version:
        session.version += 1
    session.applied += 1
    if event_hash:
        event_ids = (event_ids + event_hash)[-8 * MAX_EVENT_IDS :]
    return _outcome(session, event_ids)


def _erased(state: bytes | None, raw: RawRecord) -> tuple[bytes | None, Erasure | DeadLetter]:
    """Return no state, and the id under which `sessions` has the session, its state expired or not.

    A user without session ids has one session a visit: the last one, while its state is there.
    """
    try:
        key = raw.key.decode()
    except UnicodeDecodeError:
        return state, DeadLetter(DeadLetterReason.WRONG_KEY, "key: is not UTF-8")
    if len(raw.key) > MAX_KEY_BYTES:
        fault = f"key: has {len(raw.key)} bytes; no session has more than {MAX_KEY_BYTES}"
        return state, DeadLetter(DeadLetterReason.WRONG_KEY, fault)
    if not state:
        return None, Erasure(key)
    held = KeyState.from_bytes(state).session
    record = held.SerializeToString(deterministic=True)
    return None, Erasure(held.session_id or key, record, held.user_id)


def _wrong_record(event: Event, raw: RawRecord) -> DeadLetter | None:
    if raw.key != event.key.encode():
        shown = raw.key[:64].decode(errors="replace")
        return DeadLetter(
            DeadLetterReason.WRONG_KEY,
            f"key: is {shown!r}; set the record's key to session_id, else to u:<user_id>",
        )
    if raw.replayed:
        return None
    fault = compared_with_arrival(event.timestamp_ms, raw.append_time_ms)
    return _dead(fault) if fault else None


def _dead(fault: TimeFault) -> DeadLetter:
    return DeadLetter(fault.reason, f"timestamp_ms: {fault.detail}")


def _unexpired(state: bytes | None, since_ms: int) -> KeyState:
    """Return a key's state, an empty one if its last event arrived before ``since_ms``."""
    if state:
        held = KeyState.from_bytes(state)
        # States of before this field have 0.
        if held.session.appended_ms >= since_ms or not held.session.appended_ms:
            return held
    return KeyState(pb.SessionRecord(), b"")


def _contains(event_ids: bytes, event_hash: bytes) -> bool:
    at = event_ids.find(event_hash)
    while at >= 0 and at % 8:
        at = event_ids.find(event_hash, at + 1)
    return at >= 0


def _apply(session: pb.SessionRecord, event: Event, ratings: RatingThresholds) -> bool:
    """Apply an event to its session; False if the session is full."""
    kind = _TYPES.get(event.type)
    if kind is None:
        return True
    if kind.effect is Effect.RATING:
        kind = _by_value(kind, event.value, ratings)
    if kind.effect is Effect.HIDES:
        _hide(session, event.item_id)
        return True
    if (
        kind.effect is Effect.STRENGTHENS
        and session.steps
        and session.steps[-1].item_id == event.item_id
    ):
        _strengthen(session, kind)
        return True
    if session.step_count >= MAX_SESSION_STEPS:
        return False
    _add_step(session, event, _NUMBERS[kind.name])
    return True


def _by_value(rating: EventType, value: float | None, ratings: RatingThresholds) -> EventType:
    """Return the type that a rating counts as."""
    if value is not None and value >= ratings.like_from:
        return _TYPES[LIKE]
    if value is not None and value <= ratings.dislike_to:
        return _TYPES[DISLIKE]
    return rating


def _hide(session: pb.SessionRecord, item_id: str) -> None:
    session.version += 1
    if item_id not in session.hidden_item_ids:
        session.hidden_item_ids.append(item_id)
        del session.hidden_item_ids[:-MAX_HIDDEN_ITEMS]


def _strengthen(session: pb.SessionRecord, kind: EventType) -> None:
    session.version += 1
    step = session.steps[-1]
    step.strengthened_seq = session.version
    if kind.strength > _STRENGTHS.get(step.type, 0):
        step.type = _NUMBERS[kind.name]


def _note_user(session: pb.SessionRecord, event: Event) -> bool:
    """Note whom an event names; return whether that changes what is known of another user."""
    if not event.user_id or event.user_id == session.user_id:
        return False
    if not session.user_id:
        session.user_id = event.user_id
        return False
    changed, session.several_users = not session.several_users, True
    return changed


def _note_context(session: pb.SessionRecord, event: Event, *, late: bool) -> bool:
    """Note what an event says of the context; return whether that changes anything.

    One that is ``late``, older than the session's last step, only adds what nothing was said of.
    """
    changed = False
    for name in NAMES:
        said, known = getattr(event.context, name), getattr(session.context, name)
        if said and said != known and not (late and known):
            setattr(session.context, name, said)
            changed = True
    return changed


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
        appended_ms=session.appended_ms,
    )
    if session.step_count == 1 or event.timestamp_ms < session.first_timestamp_ms:
        session.first_timestamp_ms = event.timestamp_ms
    if in_order:
        session.last_timestamp_ms = event.timestamp_ms
    else:
        session.steps.sort(key=lambda step: (step.timestamp_ms, step.seq))
    if len(session.steps) > SESSION_STEPS:
        del session.steps[0]


def _outcome(session: pb.SessionRecord, event_ids: bytes) -> tuple[bytes, Update]:
    record = session.SerializeToString(deterministic=True)
    return KeyState(session, event_ids).to_bytes(record), Update(
        session.session_id, record, session.user_id
    )
