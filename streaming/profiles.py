"""Profiles across sessions: a record and its user's state in, the new state and outputs out.

Pure, as `streaming.sessionize` is: what comes out depends only on the records, their times of
arrival, the state, and when the user is looked at. The sessions job hosts it behind sessionisation,
which hands over the sessions of signed-in users; it also reads `users`.

* A session is open until its user begins another one, or for half an hour without an event. Then
  it counts as over, and its steps are added to the profile's items. If it goes on after all, it is
  open again, and only its new steps are added later (`Profile.merged`).
* What is bought, liked and disliked is in the profile at once.
* A profile is erased when its user is deleted or refuses it. Sessions that began before are in no
  later one: a session keeps its user, also one who has signed out since. It expires after a time
  without an event.
* A session in which another user signs in ends for the profile: who does what then is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from nextclick.limits import (
    MAX_KEY_BYTES,
    MAX_MERGED_SESSIONS,
    MAX_OPEN_SESSIONS,
    MAX_RECORD_BYTES,
    PROFILE_LIFE_MS,
    SESSION_IDLE_MS,
)
from nextclick.topics import PROFILES, USERS
from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord
from records.session_life import UNKNOWN, Applied, last_arrival
from streaming.output import Output, Wake
from streaming.profile_items import erase, mark, merge
from streaming.profile_state import ProfileState, trimmed
from streaming.raw_record import RawRecord

ERASED_SESSIONS = "erased sessions"
"""Stands for the topic of a record that is an erased session, as it was."""

Processed = tuple[bytes | None, Sequence[Output | Wake]]
"""The state of a user, and what is published; `Wake` says when to look at the user again."""


class _Change(NamedTuple):
    """What a record has changed."""

    state: bool
    profile: bool = False


_NOTHING = _Change(state=False)


def process(
    before: bytes | None, raw: RawRecord, now_ms: int, life_ms: int = PROFILE_LIFE_MS
) -> Processed:
    """Return a user's state after a record, and what is published.

    Parameters
    ----------
    before
        The state of the user, as returned for the record before; None at first.
    raw
        A record of `sessions` under the key of its user; one that was erased, as
        `ERASED_SESSIONS`; or a record of `users`. A session's time of arrival is its event's.
    now_ms
        The time on Flink's clock.
    life_ms
        How long after its last event a profile expires, on the clock of the broker.
    """
    try:
        user_id = raw.key.decode()
    except UnicodeDecodeError:
        user_id = ""
    if not user_id or len(raw.key) > MAX_KEY_BYTES:
        return before, ()
    state = ProfileState.from_bytes(before)
    if raw.topic.rpartition(".")[2] == USERS:
        return _told(before, state, raw, now_ms, life_ms)
    if state.refused:
        return before, ()
    expired = _expire(state, raw.append_time_ms - life_ms)
    session = SessionRecord.FromString(raw.value)
    if raw.topic == ERASED_SESSIONS:
        change = _erase_session(state, session)
    else:
        change = _apply(state, session, raw, user_id)
    if not change.state and not expired:
        return before, ()
    outputs: list[Output | Wake] = []
    if change.profile or expired:
        outputs += _published(state, raw.key)
    outputs += _woken(state, now_ms, now_ms + min(SESSION_IDLE_MS, life_ms))
    return _bytes(state), outputs


def wake(before: bytes | None, now_ms: int, life_ms: int = PROFILE_LIFE_MS) -> Processed:
    """Return a user's state at a time that a `Wake` has named, and what is published.

    Parameters are those of `process`.
    """
    state = ProfileState.from_bytes(before)
    if not 0 < state.wake_ms <= now_ms:
        return before, ()  # another time was named since
    state.wake_ms = 0
    key = state.profile.user_id.encode()
    ends_ms = _last_ms(state) + life_ms
    if ends_ms <= now_ms:
        return None, [Output(PROFILES, key, b"")] if state.published else ()
    since_ms = now_ms - SESSION_IDLE_MS
    idle = [name for name, session in state.open.items() if session.appended_ms <= since_ms]
    outputs: list[Output | Wake] = []
    if idle:
        _close(state, idle)
        state.profile.version += 1
        outputs += _published(state, key)
    opened = [session.appended_ms + SESSION_IDLE_MS for session in state.open.values()]
    outputs += _woken(state, now_ms, min([*opened, ends_ms]))
    return _bytes(state), outputs


def _apply(state: ProfileState, session: SessionRecord, raw: RawRecord, user_id: str) -> _Change:
    """Apply a record of a session."""
    profile, name = state.profile, session.session_id
    if session.incarnation <= state.erased_ms or session.several_users:
        return _NOTHING
    held = state.open.get(name)
    place = _noted(state, name) if held is None else Applied.after(held)
    if not place.precedes(session):
        return _NOTHING
    over: list[str] = []
    if held is not None and place.returns(session):
        over, held = [name], None  # that life of the session is over
    if held is None and not _goes_on(state, session):
        over = list(state.open)
    _close(state, over)
    if held is None:
        held = SessionRecord(version=_noted(state, name).version_in(session))
    marked = mark(profile, session, held)
    state.open[name] = trimmed(session)
    if len(state.open) > MAX_OPEN_SESSIONS:
        over += [min(state.open, key=lambda other: state.open[other].appended_ms)]
        _close(state, over[-1:])
    if not profile.incarnation:
        profile.user_id, profile.incarnation = user_id, raw.append_time_ms
    profile.appended_ms = last_arrival(profile.appended_ms, raw.append_time_ms)
    profile.version += 1
    return _Change(state=True, profile=marked or bool(over))


def _noted(state: ProfileState, name: str) -> Applied:
    """Return how far a session is among the profile's items; what is forgotten may all be."""
    for note in state.profile.merged:
        if note.session_id == name:
            return Applied(note.incarnation, note.version, note.appended_ms)
    return Applied(appended_ms=state.forgotten_ms) if state.forgotten_ms else UNKNOWN


def _goes_on(state: ProfileState, session: SessionRecord) -> bool:
    """Whether steps of this life of a session are among the profile's items."""
    noted = _noted(state, session.session_id)
    return noted.version_in(session) > 0


def _close(state: ProfileState, names: Iterable[str]) -> None:
    """Add open sessions to the profile's items, as far as they are."""
    profile = state.profile
    for name in names:
        session = state.open.pop(name)
        since = _noted(state, name).version_in(session)
        counted = _has_counted(session, since)
        if merge(profile, session, since) and not counted:
            profile.sessions += 1
        _forget(state, name)
        profile.merged.add(
            session_id=name,
            incarnation=session.incarnation,
            version=session.version,
            appended_ms=session.appended_ms,
        )
        if len(profile.merged) > MAX_MERGED_SESSIONS:
            state.forgotten_ms = max(state.forgotten_ms, profile.merged[0].appended_ms)
            del profile.merged[0]


def _has_counted(session: SessionRecord, since: int) -> bool:
    """Whether the profile has steps of a session up to a version; its record may not any more."""
    return since > 0 and session.step_count > sum(step.seq > since for step in session.steps)


def _forget(state: ProfileState, name: str) -> None:
    """Drop the note on a session."""
    merged = state.profile.merged
    for at, note in enumerate(merged):
        if note.session_id == name:
            del merged[at]
            return


def _erase_session(state: ProfileState, session: SessionRecord) -> _Change:
    """Remove the items of a session, even if others have them too.

    Of one that had more steps than its record keeps, not all items are known: all are removed.
    """
    known = state.open.pop(session.session_id, None) is not None
    _forget(state, session.session_id)
    item_ids = {step.item_id for step in session.steps} | {*session.hidden_item_ids}
    whole = session.step_count > len(session.steps)
    changed = erase(state.profile, None if whole else item_ids)
    state.profile.version += changed
    if not state.open and not _told_of(state.profile):
        state.profile = Profile()
    return _Change(known or changed, changed)


def _told(
    before: bytes | None, state: ProfileState, raw: RawRecord, now_ms: int, life_ms: int
) -> Processed:
    """Erase the profile of a user who is deleted or refuses one; note who does so no longer."""
    refuses, deleted = _refusal(raw.value)
    if (refuses and state.refused) or not (refuses or deleted or state.refused):
        return before, ()
    if deleted and state.profile.incarnation > raw.append_time_ms:
        # The profile is of the time after: a job that starts from nothing reads `users` again.
        state.erased_ms = max(state.erased_ms, raw.append_time_ms)
        return state.to_bytes(), ()
    after = ProfileState(wake_ms=state.wake_ms)
    outputs: list[Output | Wake] = []
    if refuses or deleted:
        outputs.append(Output(PROFILES, raw.key, b""))
    if refuses:
        after.refused, after.wake_ms = True, 0
    else:
        after.erased_ms = raw.append_time_ms
        outputs += _woken(after, now_ms, now_ms + life_ms)
    return after.to_bytes(), outputs


def _refusal(value: bytes) -> tuple[bool, bool]:
    """Return whether a record of `users` refuses profiles, and whether it deletes the user.

    One that is no such record does neither: servers say what is wrong with it.
    """
    if not value:
        return False, True
    if len(value) > MAX_RECORD_BYTES:
        return False, False
    try:
        user = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False, False
    if not isinstance(user, dict):
        return False, False
    deleted = user.get("state") == "deleted"
    return user.get("consent") is False and not deleted, deleted


def _expire(state: ProfileState, since_ms: int) -> bool:
    """Empty a state whose last event arrived before a time; return whether it had to be.

    So it does not matter when Flink looks at it.
    """
    if not 0 <= _last_ms(state) < since_ms:
        return False
    kept = ProfileState(published=state.published, wake_ms=state.wake_ms)
    for name in ProfileState.__dataclass_fields__:
        setattr(state, name, getattr(kept, name))
    return True


def _last_ms(state: ProfileState) -> int:
    """Return when the last event arrived that the state knows of; -1 if it knows of none."""
    return max(state.profile.appended_ms or -1, state.erased_ms)


def _told_of(profile: Profile) -> bool:
    """Whether a profile has anything to tell."""
    return bool(profile.items or profile.purchased or profile.liked or profile.disliked)


def _published(state: ProfileState, key: bytes) -> Sequence[Output]:
    """Return the record of a profile; its tombstone, if it has nothing to tell any more."""
    if _told_of(state.profile):
        state.published = True
        return (Output(PROFILES, key, state.profile.SerializeToString(deterministic=True)),)
    was, state.published = state.published, False
    return (Output(PROFILES, key, b""),) if was else ()


def _woken(state: ProfileState, now_ms: int, at_ms: int) -> Sequence[Wake]:
    """Have the user looked at by a time; nothing to do if that comes earlier anyway."""
    if now_ms < state.wake_ms <= at_ms or _last_ms(state) < 0:
        return ()
    before, state.wake_ms = state.wake_ms, at_ms
    return (Wake(at_ms, before),)


def _bytes(state: ProfileState) -> bytes | None:
    """Return a state as bytes, None if there is nothing in it."""
    if state.open or _last_ms(state) >= 0 or state.refused or state.published:
        return state.to_bytes()
    return None
