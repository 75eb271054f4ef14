"""What callers say of users: of those that were put or asked for last, within limits.

The topic `users` has all of it. A user that has left memory counts as one of whom nothing is said,
until it is put again. Its refusal of a profile holds all the same: what keeps profiles reads all of
the topic, and erases that of a user who refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from nextclick.users import User, decode_user, encode_user
from online_models.memory.sharded_dict import ShardedQueue
from server import metrics

MOST_USERS = 65_536
"""The most users in memory, where nobody says otherwise."""

RECORD_BYTES, ENTRY_BYTES = 600, 400
"""What the records of users may take, on average; what a user takes besides."""

SPARED_AT_ONCE = 8
"""The most users that one record spares, as they were asked for: then the oldest leaves anyhow."""

DROPPED_AT_ONCE = 8
"""The most users that one record drops at once; `UserStore.over` says if more must go."""

FILE = "users.jsonl"
"""Of a snapshot: the users in memory, the one that was put or spared longest ago first."""


class _Entry:
    """A user in memory."""

    __slots__ = ("asked", "record")

    def __init__(self, record: bytes) -> None:
        self.record = record
        self.asked = False
        """Whether an answer was for it since its last turn to leave."""


class UserStore:
    """The users in memory; those that were put or asked for longest ago leave.

    Only one thread, which applies the log, puts and drops them. Asking changes nothing but a mark:
    a user that has one is spared once.

    Parameters
    ----------
    most
        The most users, and that many times `RECORD_BYTES` is the most that their records take.

    Examples
    --------
    >>> users = UserStore(most=2)
    >>> for name in ("a", "b"):
    ...     users.put(User(name, segments=("new",)))
    >>> users.asked("a").segments
    ('new',)
    >>> users.put(User("c"))
    >>> [user_id for user_id in ("a", "b", "c") if users.get(user_id)]
    ['a', 'c']
    """

    def __init__(self, most: int = MOST_USERS) -> None:
        self._most = most
        self._bytes = 0
        self._entries = ShardedQueue[_Entry]()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, user_id: str) -> User | None:
        """Return what is said of a user, None if that is not in memory; for any thread."""
        entry = self._entries.get(user_id)
        return None if entry is None else _decoded(entry.record)

    def asked(self, user_id: str) -> User | None:
        """Return the same for an answer: the user stays longer."""
        entry = self._entries.get(user_id)
        if entry is None:
            return None
        entry.asked = True
        return _decoded(entry.record)

    def put(self, user: User) -> None:
        """Keep what is said of a user; others may leave."""
        # orjson's bytes take 4 kB, however few they are: a copy takes what it needs.
        self._keep(user.user_id, bytes(memoryview(encode_user(user))))
        self.drop_oldest()

    def _keep(self, user_id: str, record: bytes) -> None:
        self.remove(user_id)
        self._entries[user_id] = _Entry(record)
        self._bytes += len(user_id) + len(record)

    def remove(self, user_id: str) -> None:
        """Forget a user."""
        entry = self._entries.pop(user_id, None)
        if entry is not None:
            self._bytes -= len(user_id) + len(entry.record)

    @property
    def over(self) -> bool:
        """Whether more users are kept, or larger records, than there is memory for."""
        return len(self._entries) > self._most or self._bytes > self._most * RECORD_BYTES

    def drop_oldest(self) -> None:
        """Drop some of the oldest users while they are `over`, unless they were asked for."""
        dropped = spared = 0
        while self.over and dropped < DROPPED_AT_ONCE:
            oldest = self._entries.first()
            assert oldest is not None
            entry = self._entries[oldest]
            if entry.asked and spared < SPARED_AT_ONCE:
                entry.asked = False
                self._entries[oldest] = entry  # to the end
                spared += 1
            else:
                self.remove(oldest)
                dropped += 1
        metrics.USERS_LEFT.inc(dropped)

    def dump(self) -> Iterator[bytes]:
        """Yield all records for a snapshot."""
        return (entry.record for entry in self._entries.values())

    def load(self, records: Iterable[bytes]) -> None:
        """Load what `dump` has yielded; there may be less room than then."""
        for record in records:
            self._keep(decode_user(record).user_id, record)
            self.drop_oldest()


def _decoded(record: bytes) -> User:
    """Return the user of a record that was valid when it came."""
    get = orjson.loads(record).get
    return User(
        get("user_id"), get("attributes", {}), tuple(get("segments", ())), get("consent", True)
    )
