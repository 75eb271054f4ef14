"""What a slice of `sessions` or `profiles` comes to: each key's newest record, and erasures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from nextclick.topics import (
    PROFILES,
    SESSIONS,
    redis_profile_key,
    redis_session_key,
    redis_user_key,
)
from records.errors import RecordError
from records.limited import check_size, decode_profile, decode_session
from records.session_life import Applied
from streaming.store_metrics import UNREADABLE

log = logging.getLogger("nextclick.store")


@dataclass
class Batch:
    """The net effect of a slice of the log: the newest entry of each key, and erasures."""

    tenant: str = ""
    entries: dict[str, tuple[int, int, int, bytes]] = field(default_factory=dict)
    erased: dict[str, bytes] = field(default_factory=dict)
    """The id of the session of each key to erase."""
    users: dict[str, bytes] = field(default_factory=dict)
    """The id of the erased session that each of these keys of users may name."""
    positions: dict[int, int] = field(default_factory=dict)
    first_ms: int | None = None
    """When its first record arrived in the log; None if that is not known."""

    def add(
        self,
        partition: int,
        offset: int,
        key: bytes,
        value: bytes | None,
        arrived_ms: int | None = None,
    ) -> None:
        """Add a record of the topic, with its time of arrival; a tombstone erases its key."""
        self.positions[partition] = offset + 1
        if self.first_ms is None:
            self.first_ms = arrived_ms
        if value is None:
            self._erase(key)
            return
        try:
            self._read(key, value, arrived_ms)
        except RecordError as e:
            UNREADABLE.inc()
            log.warning("passing over the record %d-%d: %s", partition, offset, e)

    def _read(self, key: bytes, value: bytes, arrived_ms: int | None) -> None:
        """Add the session of a record.

        Raises
        ------
        RecordError
            If it cannot be used.
        """
        check_size(SESSIONS, key, value)
        record = decode_session(value, arrived_ms)
        name = redis_session_key(record.session_id, self.tenant)
        self.erased.pop(name, None)
        self._put(name, Applied.after(record), value)
        if record.user_id:
            user = redis_user_key(record.user_id, self.tenant)
            place = Applied(version=record.last_timestamp_ms)
            self._put(user, place, record.session_id.encode())

    def user_of(self, record: object) -> str:
        """Return the key of the user that names an erased session; empty if none does."""
        return user_key(record, self.tenant)

    def _erase(self, key: bytes) -> None:
        name = redis_session_key(key.decode(errors="replace"), self.tenant)
        *_, record = self.entries.pop(name, (0, 0, 0, b""))
        if user := user_key(record, self.tenant):
            if user in self.entries and self.entries[user][-1] == key:
                del self.entries[user]
            self.users[user] = key
        self.erased[name] = key

    def _put(self, name: str, place: Applied, value: bytes) -> None:
        held = self.entries.get(name)
        if held is None or _replaces(place, held):
            self.entries[name] = (place.incarnation, place.appended_ms, place.version, value)


class ProfileBatch(Batch):
    """The net effect of a slice of `profiles`; nothing else names an erased one."""

    def _read(self, key: bytes, value: bytes, arrived_ms: int | None) -> None:
        check_size(PROFILES, key, value)
        profile = decode_profile(value, arrived_ms)
        if profile.user_id.encode() != key:
            raise RecordError("user_id", "is not the record's key")
        name = redis_profile_key(profile.user_id, self.tenant)
        self.erased.pop(name, None)
        self._put(name, Applied(profile.incarnation, profile.version, profile.appended_ms), value)

    def user_of(self, record: object) -> str:
        """Return that no user names it."""
        return ""

    def _erase(self, key: bytes) -> None:
        name = redis_profile_key(key.decode(errors="replace"), self.tenant)
        self.entries.pop(name, None)
        self.erased[name] = key


def _replaces(place: Applied, held: tuple[int, int, int, bytes]) -> bool:
    """Whether an entry is at least as new as another one; `WRITE` compares in the same way."""
    incarnation, appended_ms, version, _ = held
    if place.incarnation == incarnation:
        return version <= place.version
    return appended_ms < place.appended_ms


def user_key(record: object, tenant: str) -> str:
    """Return the key of the user of a session's record; empty if it names none."""
    try:
        user_id = decode_session(record).user_id if isinstance(record, bytes) else ""
    except RecordError:
        return ""
    return redis_user_key(user_id, tenant) if user_id else ""
