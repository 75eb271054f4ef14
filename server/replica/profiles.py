"""Profiles of users: those that changed last, or were asked for, within limits.

The topic `profiles` has all of them, Redis those that it has room for. A profile is kept as its
record; what answers need of it is made once it is asked for.
"""

from __future__ import annotations

import math
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from nextclick.v1.profile_pb2 import Profile
from online_models.memory.sharded_dict import ShardedQueue
from records.limited import decode_profile
from records.past import STRANGER, Known, known
from records.session_life import Applied
from server import metrics

MOST_PROFILES = 65_536
"""The most profiles in memory, where nobody says otherwise."""

RECORD_BYTES, ENTRY_BYTES = 1_600, 500
"""What the records of profiles may take, on average; what a profile takes besides."""

MOST_ASKED = 4_096
"""Users of whom what answers need is kept: those that asked last."""

STRANGER_S = 30.0
"""For so long it is believed that Redis knows no profile of a user: it may be filled anew."""

DROPPED_AT_ONCE = 8
"""The most profiles that one record drops at once; `Profiles.over` says if more must go."""

FILE = "profiles.bin"
"""Of a snapshot: how many have left, then each profile in memory after its size, the one that has
not changed for longest first."""

_SIZE = struct.Struct("<Q")


class _Entry(NamedTuple):
    """A profile in memory, and its place among the records of its user."""

    place: Applied
    record: bytes


class _Asked(NamedTuple):
    """What is known of a user, and until when that is believed; monotonic seconds."""

    known: Known
    until: float = math.inf


class Profiles:
    """The profiles in memory; those that have not changed for longest leave.

    Only the thread that applies the log changes which these are. What answers need, `get` and
    `note`, takes the replica's lock.

    Parameters
    ----------
    most
        The most profiles, and that many times `RECORD_BYTES` is the most that their records take.
    clock
        Returns monotonic seconds.

    Examples
    --------
    >>> profiles = Profiles(most=2)
    >>> for name in ("a", "b", "c"):
    ...     profiles.put(Profile(user_id=name, version=1), b"record of " + name.encode())
    >>> [name for name in "abc" if profiles.record(name)], profiles.left
    (['b', 'c'], 1)
    """

    def __init__(
        self, most: int = MOST_PROFILES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._clock = clock
        self._bytes = 0
        self._entries = ShardedQueue[_Entry]()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self.left = 0
        """How many have left memory: of a user who is not in memory, others may know one."""

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, user_id: str) -> bytes | None:
        """Return the record of a user's profile, None if it is not in memory; for any thread."""
        entry = self._entries.get(user_id)
        return None if entry is None else entry.record

    def began_ms(self, user_id: str) -> int:
        """Return when the first event of a user's profile arrived; 0: it is not in memory."""
        entry = self._entries.get(user_id)
        return 0 if entry is None else entry.place.incarnation

    def get(self, user_id: str) -> Known | None:
        """Return what is known of a user, None if there is nothing in memory."""
        asked = self._asked.get(user_id)
        if asked is not None and asked.until > self._clock():
            self._asked.move_to_end(user_id)
            return asked.known
        record = self.record(user_id)
        return None if record is None else self.note(user_id, Profile.FromString(record))

    def note(self, user_id: str, profile: Profile | None) -> Known:
        """Note for a while what Redis has said of a user, and return it; None: it knows none."""
        if profile is None:
            return self._note(user_id, _Asked(STRANGER, self._clock() + STRANGER_S))
        return self._note(user_id, _Asked(known(profile)))

    def note_erased(self, user_id: str) -> None:
        """Note that a user's profile is erased: Redis may have it for a moment still."""
        self._note(user_id, _Asked(STRANGER))

    def is_erased(self, user_id: str) -> bool:
        """Whether a user's profile is erased, as far as that is remembered; for any thread."""
        asked = self._asked.get(user_id)
        return asked is not None and asked.known is STRANGER and math.isinf(asked.until)

    def _note(self, user_id: str, asked: _Asked) -> Known:
        self._asked[user_id] = asked
        self._asked.move_to_end(user_id)
        if len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)
        return asked.known

    def put(self, profile: Profile, record: bytes) -> None:
        """Put a profile, unless there is a newer one; call `drop_oldest` while `over`."""
        user_id = profile.user_id
        place = Applied(profile.incarnation, profile.version, profile.appended_ms)
        held = self._entries.get(user_id)
        if held is not None and not _replaces(place, held.place):
            return
        self.remove(user_id)
        self._entries[user_id] = _Entry(place, record)
        self._bytes += len(record)
        self.drop_oldest()

    def remove(self, user_id: str) -> None:
        """Remove a user's profile, after its tombstone."""
        self._asked.pop(user_id, None)
        held = self._entries.pop(user_id, None)
        if held is not None:
            self._bytes -= len(held.record)

    @property
    def over(self) -> bool:
        """Whether there are more than there may be, or their records take more memory."""
        return len(self._entries) > self._most or self._bytes > self._most * RECORD_BYTES

    def drop_oldest(self) -> None:
        """Drop some of those that have not changed for longest, while there are too many."""
        for _ in range(DROPPED_AT_ONCE):
            oldest = self._entries.first() if self.over else None
            if oldest is None:
                return
            self.remove(oldest)
            self.left += 1
            metrics.PROFILES_LEFT.inc()

    def dump(self, file: BinaryIO) -> None:
        """Write them for a snapshot; the replica may answer meanwhile, but not apply records."""
        file.write(_SIZE.pack(self.left))
        for entry in self._entries.values():
            file.write(_SIZE.pack(len(entry.record)))
            file.write(entry.record)

    def load(self, file: BinaryIO) -> None:
        """Load what `dump` has written; what is beyond the limits leaves."""
        (self.left,) = _SIZE.unpack(file.read(_SIZE.size))
        while size := file.read(_SIZE.size):
            record = file.read(*_SIZE.unpack(size))
            self.put(decode_profile(record), record)
            while self.over:
                self.drop_oldest()


def _replaces(place: Applied, held: Applied) -> bool:
    """Whether a record is at least as new as another one: after a failure, one is told again."""
    if place.incarnation == held.incarnation:
        return place.version >= held.version
    return place.appended_ms > held.appended_ms
