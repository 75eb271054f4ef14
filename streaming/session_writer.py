"""How the session store writes slices of the log to Redis: in order, and known to be there.

Redis holds, by session, a hash ``nextclick:s:<session_id>`` of ``incarnation``, ``appended``,
``version`` and ``record`` (a `SessionRecord`), and by user a hash ``nextclick:u:<user_id>`` of
``version`` (the session's last timestamp) and ``record`` (the id of the current session). Within an
incarnation the higher version wins, otherwise the later time of arrival, so records may be read
again (`records.session_life`). A tombstone erases the session, and what points to it from its user.
A key that is something else is another program's: it is left alone and counted.

The positions in the log are stored in Redis too, after the data that they are behind, with a mark
of the last batch, which names the topic by its id. A Redis whose mark is not that of the store's
last batch has lost writes. In a cluster each master has a hash of its own with positions and mark:
``nextclick:store`` on the master of that key, which names the others, ``nextclick:store:{N}``, each
with a number whose slot is its master's. They move with their slots, as the sessions do.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoScriptError

from connections.masters import Call, Masters, is_of_another_kind
from nextclick.topics import redis_store_key
from streaming.session_batch import Batch, user_key
from streaming.store_metrics import FOREIGN

log = logging.getLogger("nextclick.store")


class Script(NamedTuple):
    """A script that Redis runs, and the name by which it knows it once it has run it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Return the script of a text."""
        return cls(text, hashlib.sha1(text.encode()).hexdigest())


# Writes what is newer than what is held, and erases; returns the number of keys that are not ours,
# and the last such key.
# KEYS: those of the entries, those to erase, those of users to erase.
# ARGV: expiry, number of entries, number to erase; incarnation, time of arrival (0: none), version
# and record of each entry; the record that each user to erase must have.
WRITE = Script.of("""
local entries, erased = tonumber(ARGV[2]), tonumber(ARGV[3])
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
for i = 1, entries do
  local key, v = KEYS[i], 3 + 4 * (i - 1)
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
    redis.call('EXPIRE', key, ARGV[1])
  end
end
for i = 1 + entries, entries + erased do
  if held(KEYS[i]) then redis.call('DEL', KEYS[i]) end
end
local at = 3 + 4 * entries
for i = 1 + entries + erased, #KEYS do
  at = at + 1
  if held(KEYS[i]) and redis.call('HGET', KEYS[i], 'record') == ARGV[at] then
    redis.call('DEL', KEYS[i])
  end
end
return {foreign, first}
""")

# Notes positions if the mark of the batch before is in place; returns whether it was.
# KEYS: one of the store's own. ARGV: mark before, mark now; partition and offset of each position.
NOTE = Script.of("""
local mark = redis.call('HGET', KEYS[1], 'mark')
if mark ~= ARGV[1] and mark ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'mark', ARGV[2], unpack(ARGV, 3))
return 1
""")

ScriptCall = tuple[list[str], list[Any]]
"""The keys of a script, and its other arguments."""

MORE = b"more"
"""The field of ``nextclick:store`` that names the hashes of the other masters."""


class SessionWriter:
    """Writes batches to Redis, and the positions in the log after them.

    Parameters
    ----------
    masters
        Of the Redis.
    tenant
        Whose sessions they are.
    expiry_s
        Seconds until an idle session expires.
    """

    def __init__(self, masters: Masters, tenant: str, expiry_s: int) -> None:
        self._masters = masters
        self._key = redis_store_key(tenant)
        self._expiry_s = expiry_s
        self._topic_id = ""
        self._new_marks = (f"{self._topic_id}/{uuid.uuid4().hex}-{n}" for n in itertools.count())
        self._marks: dict[str, str] = {}
        self._next = next(self._new_marks)

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the positions in a topic that all masters have noted.

        None if one of them was wiped or never filled, or if they are those of another topic.
        Versions before this one named no topic: theirs are taken for this one's.
        """
        self._topic_id = topic_id
        self._masters.refresh()
        held = self._read([self._key])
        held |= self._read(held[self._key].pop(MORE, b"").decode().split())
        self._marks = {key: fields.pop(b"mark", b"").decode() for key, fields in held.items()}
        self._next = next(self._new_marks)
        if not all(map(self._names_topic, self._marks.values())):
            return {}
        partitions = set.intersection(*(set(fields) for fields in held.values()))
        positions = {int(p): min(int(fields[p]) for fields in held.values()) for p in partitions}
        self._cover(positions)
        return positions

    def _names_topic(self, mark: str) -> bool:
        named, of_topic, _ = mark.rpartition("/")
        return bool(mark) and (not of_topic or named == self._topic_id)

    def begin(self) -> None:
        """Mark the start of a refill from the beginning of the log."""
        self._masters.refresh()
        first, *more = self._keys_of_masters([self._key])
        mark, self._next = self._next, next(self._new_marks)
        self._create(more, mark, {})
        self._create([first], mark, {MORE: " ".join(more)} if more else {})
        self._marks = dict.fromkeys([first, *more], mark)

    def write(self, batch: Batch) -> bool:
        """Write a batch; return False if Redis has lost writes before it.

        Writing is idempotent: after an error, write again; after a loss, begin at `positions`.

        1. What names erased sessions among their users is erased: the sessions tell the users.
        2. Sessions and users are written, and sessions erased.
        3. Once all of that is there, each master that has the mark before notes the positions.
        """
        covered = self._covered()
        # A master that has lost its data does not tell the users of sessions to erase.
        if (batch.erased or not covered) and not self.in_step():
            return False
        if not covered:
            self.positions(self._topic_id)
        users = self._users(batch)
        self._write(
            _call({}, (), {key: users[key] for key in keys})
            for keys in self._masters.together(list(users))
        )
        self._write(
            _call(
                {key: batch.entries[key] for key in keys if key in batch.entries},
                [key for key in keys if key in batch.erased],
                {},
            )
            for keys in self._masters.together([*batch.entries, *batch.erased])
        )
        places = [part for position in batch.positions.items() for part in position]
        noted = self._run(
            NOTE, [([key], [mark, self._next, *places]) for key, mark in self._marks.items()]
        )
        if not all(noted):
            return False
        self._marks = dict.fromkeys(self._marks, self._next)
        self._next = next(self._new_marks)
        return True

    def in_step(self) -> bool:
        """Return whether each master has noted the last batch that was written."""
        held = self._send([(key, ("HGET", key, "mark")) for key in self._marks])
        return all(
            mark is not None and mark.decode() in (expected, self._next)
            for mark, expected in zip(held, self._marks.values(), strict=True)
        )

    def _write(self, calls: Iterable[ScriptCall]) -> None:
        """Have `WRITE` write entries and erase; count the keys that are not ours."""
        calls = [(keys, [self._expiry_s, *args]) for keys, args in calls]
        replies = self._run(WRITE, calls)
        if foreign := sum(count for count, _ in replies):
            FOREIGN.inc(foreign)
            log.warning("left alone %d keys under our prefix that are not ours", foreign)
            log.debug("the last key that is not ours: %r", max(key for _, key in replies))

    def _users(self, batch: Batch) -> dict[str, bytes]:
        """Return the keys of the users of sessions to erase, and the id that each would have."""
        users = dict(batch.users)
        # A key that is not ours is an error here; the script leaves it alone.
        held = self._masters.send([(name, ("HGET", name, "record")) for name in batch.erased])
        for record, session_id in zip(held, batch.erased.values(), strict=True):
            if isinstance(record, redis.RedisError) and not is_of_another_kind(record):
                raise record
            if user := user_key(record, batch.tenant):
                users[user] = session_id
        return users

    def _covered(self) -> bool:
        """Whether each master is known to have a hash with positions and mark."""
        return self._masters.clients.keys() <= {self._masters.of(key) for key in self._marks}

    def _cover(self, positions: Mapping[int, int]) -> None:
        """Have each master note positions: all of them have what is before these."""
        keys = self._keys_of_masters(list(self._marks))
        if keys == list(self._marks):
            return
        mark = self._marks[self._key]
        self._create([key for key in keys if key not in self._marks], mark, positions)
        self._send([(self._key, ("HSET", self._key, MORE, " ".join(keys[1:])))])
        self._send([(key, ("DEL", key)) for key in self._marks if key not in keys])
        self._marks = {key: self._marks.get(key, mark) for key in keys}

    def _keys_of_masters(self, known: Sequence[str]) -> list[str]:
        """Return one key for each master: the first of the known ones, or one that is its own."""
        keys: dict[str, str] = {}
        for key in known:
            keys.setdefault(self._masters.of(key), key)
        for master in self._masters.clients.keys() - keys.keys():
            numbered = (f"{self._key}:{{{n}}}" for n in itertools.count())
            keys[master] = next(key for key in numbered if self._masters.of(key) == master)
        return list(keys.values())

    def _create(self, keys: Iterable[str], mark: str, fields: Mapping[Any, Any]) -> None:
        parts = [part for item in fields.items() for part in item]
        for key in keys:
            self._send([(key, ("DEL", key)), (key, ("HSET", key, "mark", mark, *parts))])

    def _read(self, keys: Sequence[str]) -> dict[str, dict[bytes, bytes]]:
        return dict(zip(keys, self._send([(key, ("HGETALL", key)) for key in keys]), strict=True))

    def _run(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return the replies of a script, which masters that do not know it yet are sent."""
        commands = [(keys[0], (len(keys), *keys, *args)) for keys, args in calls]
        replies = self._masters.send([(k, ("EVALSHA", script.sha, *c)) for k, c in commands])
        new = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        again = [(k, ("EVAL", script.text, *c)) for k, c in (commands[at] for at in new)]
        for at, reply in zip(new, self._masters.send(again), strict=True):
            replies[at] = reply
        return _without_errors(replies)

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        return _without_errors(self._masters.send(calls))


def _call(
    entries: Mapping[str, tuple[int, int, int, bytes]],
    erased: Sequence[str],
    users: Mapping[str, bytes],
) -> ScriptCall:
    """Return the keys of `WRITE`, and its arguments but for the expiry."""
    values = [part for entry in entries.values() for part in entry]
    args = [len(entries), len(erased), *values, *users.values()]
    return [*entries, *erased, *users], args


def _without_errors(replies: list[Any]) -> list[Any]:
    """Return replies, or raise the first error among them."""
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    return replies
