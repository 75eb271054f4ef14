"""How the session store writes slices of the log to Redis: in order, and known to be there.

Redis holds, by session, a hash ``nextclick:s:<session_id>`` of ``incarnation``, ``appended``,
``version`` and ``record`` (a `SessionRecord`), and by user a hash ``nextclick:u:<user_id>`` of
``version`` (the session's last timestamp) and ``record`` (the id of the current session). Within an
incarnation the higher version wins, otherwise the later time of arrival, so records may be read
again (`records.session_life`). A tombstone erases the session, and what points to it from its user.
Profiles are written in the same way: ``nextclick:p:<user_id>`` has a user's `Profile`.
A key that is something else is another program's: it is left alone and counted.

The positions in the log are stored in Redis too, after the data that is before them, with a mark
of the last batch, which names the topic by its id. A Redis whose mark is not that of the store's
last batch has lost writes. In a cluster each master has a hash of its own with positions and mark:
``nextclick:store`` on the master of that key, which names the others, ``nextclick:store:{N}``, each
with a number whose slot is its master's. They move with their slots, as the sessions do. Those of
`profiles` are ``nextclick:store-profiles``.
"""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

from connections.masters import Call, Masters, is_of_another_kind
from nextclick.topics import SESSIONS, redis_store_key
from streaming.session_batch import Batch
from streaming.store_metrics import FOREIGN
from streaming.write_script import LOST, SHA, TEXT, Noted, ScriptCall

log = logging.getLogger("nextclick.store")


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
    of
        The topic, without tenant: each has positions and marks of its own.
    """

    def __init__(self, masters: Masters, tenant: str, expiry_s: int, of: str = SESSIONS) -> None:
        self._masters = masters
        self._key = redis_store_key(tenant, of)
        self._expiry_s = expiry_s
        self._topic_id = ""
        self._new_marks = (f"{self._topic_id}/{uuid.uuid4().hex}-{n}" for n in itertools.count())
        self._marks: dict[str, str] = {}
        """The mark that each hash of the store's own should have."""
        self._next = next(self._new_marks)
        self._noted: dict[int, int] = {}
        """The positions that go with the marks."""

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
        self._noted = {int(p): min(int(fields[p]) for fields in held.values()) for p in partitions}
        self._cover()
        return dict(self._noted)

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
        self._noted = {}

    def write(self, batch: Batch) -> bool:
        """Write a batch; return False if Redis has lost writes before it.

        Writing is idempotent: after an error, write again; after a loss, begin at `positions`.

        1. What names erased sessions among their users is erased: the sessions tell the users.
        2. Sessions and users are written, and sessions erased.
        3. Once all of that is there, each master that has the mark before notes the positions; one
           server does so in the same step.
        """
        if not self._covered():
            if not self.in_step():
                return False
            self._cover()
        users = self._users(batch)
        self._run(
            ScriptCall.of(self._expiry_s, {}, users={key: users[key] for key in keys})
            for keys in self._masters.together(list(users))
        )
        groups = self._masters.together([*batch.entries, *batch.erased, *self._marks])
        self._run(self._call(batch, keys) for keys in groups if keys[-1] not in self._marks)
        if not self._run(self._call(batch, keys) for keys in groups if keys[-1] in self._marks):
            return False
        self._marks = dict.fromkeys(self._marks, self._next)
        self._next = next(self._new_marks)
        self._noted |= batch.positions
        return True

    def _call(self, batch: Batch, keys: Sequence[str]) -> ScriptCall:
        """Return the call for some keys of a batch; the last may be one of the store's own."""
        noted = None
        if (mark := self._marks.get(keys[-1])) is not None:
            noted = Noted(keys[-1], mark, self._next, batch.positions)
        return ScriptCall.of(
            self._expiry_s,
            {key: batch.entries[key] for key in keys if key in batch.entries},
            [key for key in keys if key in batch.erased],
            noted=noted,
        )

    def in_step(self) -> bool:
        """Return whether each master has noted the last batch that was written."""
        held = self._send([(key, ("HGET", key, "mark")) for key in self._marks])
        return all(
            mark is not None and mark.decode() in (expected, self._next)
            for mark, expected in zip(held, self._marks.values(), strict=True)
        )

    def _users(self, batch: Batch) -> dict[str, bytes]:
        """Return the keys of the users of sessions to erase, and the id that each would have."""
        users = dict(batch.users)
        # A key that is not ours is an error here; the script leaves it alone.
        held = self._masters.send([(name, ("HGET", name, "record")) for name in batch.erased])
        for record, session_id in zip(held, batch.erased.values(), strict=True):
            if isinstance(record, redis.RedisError) and not is_of_another_kind(record):
                raise record
            if user := batch.user_of(record):
                users[user] = session_id
        return users

    def _covered(self) -> bool:
        """Whether each master is known to have a hash with positions and mark."""
        return self._masters.clients.keys() <= {self._masters.of(key) for key in self._marks}

    def _cover(self) -> None:
        """Have each master note the positions: all of them have what is before these."""
        keys = self._keys_of_masters(list(self._marks))
        if keys == list(self._marks):
            return
        mark = self._marks[self._key]
        self._create([key for key in keys if key not in self._marks], mark, self._noted)
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

    def _run(self, calls: Iterable[ScriptCall]) -> bool:
        """Have masters run the script; return False if one of them has lost writes.

        Those that do not know the script are sent its text. Keys that are not ours are counted.
        """
        commands = [(c.keys[0], (len(c.keys), *c.keys, *c.args)) for c in calls]
        replies = self._masters.send([(key, ("EVALSHA", SHA, *c)) for key, c in commands])
        new = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        again = [(key, ("EVAL", TEXT, *c)) for key, c in (commands[at] for at in new)]
        for at, reply in zip(new, self._masters.send(again), strict=True):
            replies[at] = reply
        counts = [count for count, _ in _without_errors(replies)]
        if foreign := sum(count for count in counts if count != LOST):
            FOREIGN.inc(foreign)
            log.warning("left alone %d keys under our prefix that are not ours", foreign)
            log.debug("the last key that is not ours: %r", max(key for _, key in replies))
        return LOST not in counts

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        return _without_errors(self._masters.send(calls))


def _without_errors(replies: list[Any]) -> list[Any]:
    """Return replies, or raise the first error among them."""
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    return replies
