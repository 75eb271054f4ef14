"""The state of a user in the profiles' part of the sessions job, as versioned bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord

STATE_VERSION = 1
_HEAD = struct.Struct("<BBqqqI")
_SIZE = struct.Struct("<I")
_REFUSED, _PUBLISHED = 1, 2


@dataclass(slots=True)
class ProfileState:
    """What the job knows of a user.

    Attributes
    ----------
    profile
        Without the sessions that are open, but for what was bought, liked and disliked.
    open
        Sessions that may go on, the last begun last: of each its record, without what a profile
        has no use for.
    refused
        Whether the user has refused a profile: nothing else is kept then.
    published
        Whether `profiles` has a record of the user that is no tombstone.
    wake_ms
        When the job looks at the user next if no event comes, on Flink's clock; 0: never.
    erased_ms
        Steps that arrived up to then were erased with their user; -1: none were.
    forgotten_ms
        Sessions of which no note is kept any more are in the profile as far as they had arrived
        then, at most.
    """

    profile: Profile = field(default_factory=Profile)
    open: dict[str, SessionRecord] = field(default_factory=dict)
    refused: bool = False
    published: bool = False
    wake_ms: int = 0
    erased_ms: int = -1
    forgotten_ms: int = 0

    def to_bytes(self) -> bytes:
        """Return the state as versioned bytes."""
        profile = self.profile.SerializeToString(deterministic=True)
        flags = _REFUSED * self.refused + _PUBLISHED * self.published
        times = self.wake_ms, self.erased_ms, self.forgotten_ms
        parts = [_HEAD.pack(STATE_VERSION, flags, *times, len(profile)), profile]
        for session in self.open.values():
            record = session.SerializeToString(deterministic=True)
            parts += [_SIZE.pack(len(record)), record]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> ProfileState:
        """Return the state that `to_bytes` packed; None is that of a user of whom nothing is."""
        if raw is None:
            return cls()
        version, flags, wake_ms, erased_ms, forgotten_ms, size = _HEAD.unpack_from(raw)
        if version != STATE_VERSION:
            raise ValueError(f"state version {version}: this job reads version {STATE_VERSION}")
        at = _HEAD.size + size
        profile = Profile.FromString(raw[_HEAD.size : at])
        sessions = {}
        while at < len(raw):
            (size,) = _SIZE.unpack_from(raw, at)
            at += _SIZE.size
            session = SessionRecord.FromString(raw[at : at + size])
            sessions[session.session_id] = session
            at += size
        refused, published = bool(flags & _REFUSED), bool(flags & _PUBLISHED)
        return cls(profile, sessions, refused, published, wake_ms, erased_ms, forgotten_ms)


def trimmed(session: SessionRecord) -> SessionRecord:
    """Return a session's record without what a profile has no use for."""
    kept = SessionRecord()
    kept.CopyFrom(session)
    for name in ("user_id", "applied", "duplicates", "context"):
        kept.ClearField(name)
    for step in kept.steps:
        step.ClearField("recommendation_id")
        step.ClearField("position")
    return kept
