"""How the session store writes slices of the log to Redis: whole, in order, and known to be there.

Redis holds, by session, a hash ``nextclick:s:<session_id>`` of ``incarnation``, ``appended``,
``version`` and ``record`` (a `SessionRecord`), and by user a hash ``nextclick:u:<user_id>`` of
``version`` (the session's last timestamp) and ``record`` (the id of the current session). Within an
incarnation the higher version wins, otherwise the later time of arrival, so records may be read
again (`records.session_life`). A tombstone erases the session, and what points to it from its user.
A key that is something else is another program's: it is left alone and counted.

The positions in the log are stored in Redis too, together with the data and with a mark of the last
batch, which names the topic by its id. A Redis whose mark is not that of the store's last batch has
lost writes.
"""

from __future__ import annotations

import itertools
import logging
import uuid
from dataclasses import dataclass, field
from typing import cast

import redis

from nextclick.topics import SESSIONS, redis_session_key, redis_store_key, redis_user_key
from records.errors import RecordError
from records.limited import check_size, decode_session
from records.session_life import Applied
from streaming.store_metrics import FOREIGN, UNREADABLE

log = logging.getLogger("nextclick.store")

# Writes a batch if the mark of the one before is in place; returns the number of keys that are not
# ours, -1 if it is not, and the first such key.
# KEYS: the store's own, those of the entries, those to erase, those of users to erase.
# ARGV: mark before, mark now, expiry, number of entries, number of positions, number to erase;
# partition and offset of each position; incarnation, time of arrival (0: none), version and record
# of each entry; the record that each user to erase must have.
WRITE = """
local mark = redis.call('HGET', KEYS[1], 'mark')
if mark ~= ARGV[1] and mark ~= ARGV[2] then return {-1, ''} end
local entries, positions, erased = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local foreign, first = 0, ''
local function held(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return -1, -1, -1 end
  local h = kind == 'hash'
    and redis.call('HMGET', key, 'incarnation', 'appended', 'version', 'record')
  local version = h and h[4] and tonumber(h[3] or '')
  if version then return tonumber(h[1] or 0), tonumber(h[2] or h[1] or 0), version end
  foreign = foreign + 1
  first = key
end
local at = 6 + 2 * positions
for i = 1, entries do
  local key, v = KEYS[1 + i], at + 4 * (i - 1)
  local life, appended, version = held(key)
  local newer = false
  if life == tonumber(ARGV[v + 1]) then
    newer = version <= tonumber(ARGV[v + 3])
  elseif life then
    newer = appended < tonumber(ARGV[v + 2])
  end
  if newer then
    redis.call('HSET', key, 'incarnation', ARGV[v + 1], 'appended', ARGV[v + 2],
      'version', ARGV[v + 3], 'record', ARGV[v + 4])
    redis.call('EXPIRE', key, ARGV[3])
  end
end
for i = 2 + entries, 1 + entries + erased do
  if held(KEYS[i]) then redis.call('DEL', KEYS[i]) end
end
at = at + 4 * entries
for i = 2 + entries + erased, #KEYS do
  at = at + 1
  if held(KEYS[i]) and redis.call('HGET', KEYS[i], 'record') == ARGV[at] then
    redis.call('DEL', KEYS[i])
  end
end
for i = 1, positions do
  redis.call('HSET', KEYS[1], ARGV[5 + 2 * i], ARGV[6 + 2 * i])
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2])
return {foreign, first}
"""


@dataclass
class Batch:
    """The net effect of a slice of the log: the newest entry of each key, and erasures."""

    tenant: str = ""
    entries: dict[str, tuple[int, int, int, bytes]] = field(default_factory=dict)
    erased: dict[str, bytes] = field(default_factory=dict)
    """The id of the session of each key to erase."""
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
        """Add a record of `sessions`, with its time of arrival; a tombstone erases its session."""
        self.positions[partition] = offset + 1
        if self.first_ms is None:
            self.first_ms = arrived_ms
        if value is None:
            self._erase(key)
            return
        try:
            check_size(SESSIONS, key, value)
            record = decode_session(value, arrived_ms)
        except RecordError as e:
            UNREADABLE.inc()
            log.warning("passing over the record %d-%d: %s", partition, offset, e)
            return
        name = redis_session_key(record.session_id, self.tenant)
        self.erased.pop(name, None)
        self._put(name, Applied.after(record), value)
        if record.user_id:
            user = redis_user_key(record.user_id, self.tenant)
            place = Applied(version=record.last_timestamp_ms)
            self._put(user, place, record.session_id.encode())

    def _erase(self, key: bytes) -> None:
        name = redis_session_key(key.decode(errors="replace"), self.tenant)
        *_, record = self.entries.pop(name, (0, 0, 0, b""))
        user = user_key(record, self.tenant)
        if user in self.entries and self.entries[user][-1] == key:
            del self.entries[user]
        self.erased[name] = key

    def _put(self, name: str, place: Applied, value: bytes) -> None:
        held = self.entries.get(name)
        if held is None or _replaces(place, held):
            self.entries[name] = (place.incarnation, place.appended_ms, place.version, value)


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


class SessionWriter:
    """Writes batches to Redis, together with the positions in the log after them."""

    def __init__(self, client: redis.Redis, tenant: str, expiry_s: int) -> None:
        self._redis = client
        self._key = redis_store_key(tenant)
        self._expiry_s = expiry_s
        self._write = client.register_script(WRITE)
        self._topic_id = ""
        self._marks = (f"{self._topic_id}/{uuid.uuid4().hex}-{n}" for n in itertools.count())
        self._mark, self._next = "", next(self._marks)

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the positions in a topic that Redis holds.

        None if it was wiped or never filled, or if they are those of another topic. Versions before
        this one named no topic: theirs are taken for this one's.
        """
        self._topic_id = topic_id
        held = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        self._mark = held.pop(b"mark", b"").decode()
        self._next = next(self._marks)
        named, of_topic, _ = self._mark.rpartition("/")
        if not self._mark or (of_topic and named != topic_id):
            return {}
        return {int(partition): int(offset) for partition, offset in held.items()}

    def write(self, batch: Batch) -> bool:
        """Write a batch as one; return False, without writing, if Redis has lost writes before it.

        Writing is idempotent: after an error, write again; after a loss, begin at `positions`.
        """
        places = [part for position in batch.positions.items() for part in position]
        values = [part for entry in batch.entries.values() for part in entry]
        counts = [self._expiry_s, len(batch.entries), len(batch.positions), len(batch.erased)]
        users = self._users(batch)
        foreign, first = cast(
            "tuple[int, bytes]",
            self._write(
                keys=[self._key, *batch.entries, *batch.erased, *users],
                args=[self._mark, self._next, *counts, *places, *values, *users.values()],
            ),
        )
        if foreign < 0:
            return False
        if foreign:
            FOREIGN.inc(foreign)
            log.warning("left alone %d keys under our prefix that are not ours", foreign)
            log.debug("the last key that is not ours: %r", first)
        self._mark, self._next = self._next, next(self._marks)
        return True

    def _users(self, batch: Batch) -> dict[str, bytes]:
        """Return the keys of the users of sessions to erase, and the id that each would have."""
        if not batch.erased:
            return {}
        reads = self._redis.pipeline(transaction=False)
        for name in batch.erased:
            reads.hget(name, "record")
        # A key that is not ours is an error here; the script leaves it alone.
        held = zip(reads.execute(raise_on_error=False), batch.erased.values(), strict=True)
        users = ((user_key(record, batch.tenant), key) for record, key in held)
        return {user: key for user, key in users if user}

    def in_step(self) -> bool:
        """Return whether Redis holds the last batch that was written."""
        held = cast("bytes | None", self._redis.hget(self._key, "mark"))
        return held is not None and held.decode() == self._mark

    def begin(self) -> None:
        """Mark the start of a refill from the beginning of the log."""
        self._mark, self._next = self._next, next(self._marks)
        self._redis.delete(self._key)
        self._redis.hset(self._key, "mark", self._mark)
