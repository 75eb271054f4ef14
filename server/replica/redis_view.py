"""Reads sessions and profiles that are not in memory from Redis.

A thread keeps connections ready, and checks whether Redis answers. While it does not, or one master
of a cluster does not, requests do not wait for it, and answers are marked as degraded.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import MovedError

from connections.masters import is_of_another_kind, probe
from connections.redis import masters_of
from nextclick.topics import redis_profile_key, redis_session_key, redis_user_key
from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord
from records.errors import RecordError
from records.limited import decode_profile, decode_session
from server import metrics
from server.replica.ready_connections import NotReadyError, ReadyConnections
from settings.redis import RedisSettings

log = logging.getLogger("nextclick.server")

CHECK_S = 0.5
"""Pause between two checks."""

CONNECT_TIMEOUT_S = 1.0
"""Of each step in which a connection is made; no request waits for it."""


class Question(NamedTuple):
    """Whom Redis is asked for: a session, or a user's current one with that one for lack of it.

    ``profile_of`` is the user whose profile is asked for, too; empty: nobody's.
    """

    session_id: str
    user_id: str = ""
    profile_of: str = ""


class Stored(NamedTuple):
    """What Redis knows of a visitor: a user's current session, and the session's record.

    ``profile`` is that of the user ``profile_of``, None if there is none.
    """

    session_id: str = ""
    record: SessionRecord | None = None
    complete: bool = True
    """Whether Redis was asked and has answered."""
    profile_of: str = ""
    profile: Profile | None = None


UNREAD = Stored(complete=False)
"""Redis was not asked, or has not answered in time."""


class RedisView:
    """Reads sessions that the session store wrote."""

    def __init__(self, settings: RedisSettings, tenant: str, timeout_ms: int) -> None:
        self._tenant = tenant
        self.timeout_s = timeout_ms / 1000
        self._masters = masters_of(settings, CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S)
        self._ready: dict[str, ReadyConnections] = {}
        self._wake = threading.Event()
        self._stopped = False
        self.up = False
        """Whether Redis, or a master of the cluster, has answered the last time."""
        self._told = ""
        self._thread = threading.Thread(target=self._watch, name="redis-check", daemon=True)

    def start(self) -> None:
        """Start to keep connections ready."""
        self._thread.start()

    def close(self) -> None:
        """Stop doing so."""
        self._stopped = True
        self._wake.set()

    def read(self, questions: Sequence[Question]) -> list[Stored]:
        """Return what Redis knows of some visitors; blocks for two timeouts of each master at most.

        `UNREAD` for those of whom it does not say it.
        """
        if not self.up:
            metrics.REDIS_READS.labels("not_asked").inc(len(questions))
            return [UNREAD] * len(questions)
        users = {q.user_id: redis_user_key(q.user_id, self._tenant) for q in questions if q.user_id}
        profiles = {q.profile_of: redis_profile_key(q.profile_of, self._tenant) for q in questions}
        profiles.pop("", None)
        # In the first round trip that there is.
        current = self._records([*users.values(), *(profiles.values() if users else ())])
        ids = [
            (current.get(users.get(q.user_id, "")) or b"").decode(errors="replace") or q.session_id
            for q in questions
        ]
        keys = {i: redis_session_key(i, self._tenant) for i in ids if i}
        raw = self._records([*keys.values(), *(() if users else profiles.values())])
        told = raw | current
        return [
            Stored(i, _session(raw.get(keys.get(i, ""))), *_of_profile(profiles, q, told))
            if (not q.user_id or users[q.user_id] in current) and (not i or keys[i] in raw)
            else UNREAD
            for i, q in zip(ids, questions, strict=True)
        ]

    def _records(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """Return the field `record` of the keys that their masters tell, None where there is none.

        Takes a round trip for each master.
        """
        by_master: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            by_master[self._masters.of(key)].append(key)
        records: dict[str, bytes | None] = {}
        for master, of_master in by_master.items():
            for key, reply in zip(of_master, self._replies(master, of_master), strict=True):
                if isinstance(reply, redis.RedisError) and not is_of_another_kind(reply):
                    outcome = "not_asked" if isinstance(reply, NotReadyError) else "failed"
                    metrics.REDIS_READS.labels(outcome).inc()
                    if isinstance(reply, MovedError):
                        self._wake.set()  # to find out who has the slot now
                else:
                    records[key] = reply if isinstance(reply, bytes) else None
        found = sum(record is not None for record in records.values())
        metrics.REDIS_READS.labels("found").inc(found)
        metrics.REDIS_READS.labels("absent").inc(len(records) - found)
        return records

    def _replies(self, master: str, keys: list[str]) -> list[Any]:
        """Return a master's replies, or for each key the error that kept it from answering."""
        ready = self._ready.get(master)
        if ready is None:
            return [NotReadyError("no master that is known has the key")] * len(keys)
        try:
            return ready.ask([("HGET", key, "record") for key in keys])
        except redis.RedisError as e:
            # The next requests do not wait; the check notices when it is back.
            self.up = any(ready.up for ready in self._ready.values())
            return [e] * len(keys)

    def check(self) -> None:
        """Find out who is master, and have connections to each of them ready."""
        why = "no master is known"
        try:
            self._masters.refresh()
        except redis.RedisError as e:  # those that are known may go on
            why = str(e)
        clients, before = self._masters.clients, self._ready
        self._ready = {
            name: before.get(name)
            or ReadyConnections(client.connection_pool, probe(self._tenant), self.timeout_s)
            for name, client in clients.items()
        }
        for name in before.keys() - clients.keys():
            before[name].close()
        for ready in self._ready.values():
            try:
                ready.check()
            except redis.RedisError as e:
                why = str(e)
        answers = [ready.up for ready in self._ready.values()]
        self.up, all_up = any(answers), bool(answers) and all(answers)
        self._tell("" if all_up else why.rstrip("."))
        metrics.REDIS_UP.set(all_up)

    def _watch(self) -> None:
        while not self._stopped:
            self.check()
            self._wake.wait(CHECK_S)
            self._wake.clear()
        for ready in self._ready.values():
            ready.close()

    def _tell(self, why: str) -> None:
        """Log that Redis does not answer, and why, once; and that it does again."""
        if why and not self._told:
            log.warning(
                "Redis: %s; answers go on without it. NEXTCLICK_REDIS says where it is", why
            )
        elif self._told and not why:
            log.warning("Redis answers again")
        self._told = why


def _of_profile(
    keys: dict[str, str], question: Question, told: dict[str, bytes | None]
) -> tuple[bool, str, Profile | None]:
    """Return the last fields of `Stored`, for a question and what Redis has told."""
    user_id = question.profile_of
    if not user_id:
        return True, "", None
    if keys[user_id] not in told:
        return False, "", None
    raw = told[keys[user_id]]
    try:
        return True, user_id, None if raw is None else decode_profile(raw)
    except RecordError:
        return True, user_id, None


def _session(raw: bytes | None) -> SessionRecord | None:
    try:
        return None if raw is None else decode_session(raw)
    except RecordError:
        return None
