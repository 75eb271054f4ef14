"""Reads sessions that are not in memory from Redis.

A thread checks whether Redis answers. While it does not, requests do not wait for it, and answers
are marked as degraded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import NamedTuple

import redis

from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from records.errors import RecordError
from records.limited import decode_session
from server import metrics

log = logging.getLogger("nextclick.server")

PING_S, PING_TIMEOUT_S = 0.5, 0.25


class Question(NamedTuple):
    """Whom Redis is asked for: a session, or a user's current one with that one for lack of it."""

    session_id: str
    user_id: str = ""


class Stored(NamedTuple):
    """What Redis knows of a visitor: a user's current session, and the session's record."""

    session_id: str = ""
    record: SessionRecord | None = None
    complete: bool = True
    """Whether Redis was asked and has answered."""


UNREAD = Stored(complete=False)
"""Redis was not asked, or has not answered in time."""


class RedisView:
    """Reads sessions that the session store wrote."""

    def __init__(self, url: str, tenant: str, timeout_ms: int) -> None:
        self._tenant = tenant
        self.timeout_s = timeout_ms / 1000
        self._client = _client(url, self.timeout_s)
        self._pinger = _client(url, PING_TIMEOUT_S)
        self._stop = threading.Event()
        self.up = True
        self._told = ""
        self._thread = threading.Thread(target=self._check, name="redis-check", daemon=True)

    def start(self) -> None:
        """Start to check whether Redis answers."""
        self._thread.start()

    def close(self) -> None:
        """Stop checking."""
        self._stop.set()

    def read(self, questions: Sequence[Question]) -> list[Stored]:
        """Return what Redis knows of some visitors; blocks for two timeouts at most.

        `UNREAD` for all of them if Redis does not answer.
        """
        if not self.up:
            metrics.REDIS_READS.labels("not_asked").inc(len(questions))
            return [UNREAD] * len(questions)
        try:
            users = {q.user_id: redis_user_key(q.user_id, self._tenant) for q in questions}
            users.pop("", None)
            current = dict(zip(users, self._records(list(users.values())), strict=True))
            ids = [
                (current.get(q.user_id) or b"").decode(errors="replace") or q.session_id
                for q in questions
            ]
            keys = {i: redis_session_key(i, self._tenant) for i in ids if i}
            raw = dict(zip(keys, self._records(list(keys.values())), strict=True))
        except redis.RedisError:
            # The next requests do not wait; `_check` notices when Redis is back.
            self.up = False
            metrics.REDIS_READS.labels("failed").inc(len(questions))
            return [UNREAD] * len(questions)
        return [Stored(i, _session(raw.get(i))) for i in ids]

    def _records(self, keys: list[str]) -> list[bytes | None]:
        """Return the field `record` of each key, in one round trip; None where there is none."""
        if not keys:
            return []
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.hget(key, "record")
        # A key that is no hash is not ours.
        replies = pipe.execute(raise_on_error=False)
        records = [reply if isinstance(reply, bytes) else None for reply in replies]
        found = sum(record is not None for record in records)
        metrics.REDIS_READS.labels("found").inc(found)
        metrics.REDIS_READS.labels("absent").inc(len(keys) - found)
        return records

    def _check(self) -> None:
        while not self._stop.wait(PING_S):
            why = ""
            try:
                self._pinger.ping()
                self.up = True
            except redis.RedisError as e:
                self.up = False
                why = str(e).rstrip(".")
            self._tell(why)
            metrics.REDIS_UP.set(self.up)

    def _tell(self, why: str) -> None:
        """Log that Redis does not answer, and why, once; and that it does again."""
        if why and not self._told:
            log.warning(
                "Redis: %s; answers go on without it. NEXTCLICK_REDIS says where it is", why
            )
        elif self._told and not why:
            log.warning("Redis answers again")
        self._told = why


def _session(raw: bytes | None) -> SessionRecord | None:
    try:
        return None if raw is None else decode_session(raw)
    except RecordError:
        return None


def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        lib_name=None,  # saves two round trips when connecting
        lib_version=None,
    )
