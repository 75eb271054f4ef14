"""Reads sessions that are not in memory from Redis.

A thread checks whether Redis answers. While it does not, requests do not wait for it, and answers
are marked as degraded.
"""

from __future__ import annotations

import threading
from typing import cast

import redis
from google.protobuf.message import DecodeError

from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from server import metrics

PING_S, PING_TIMEOUT_S = 0.5, 0.25


class RedisUnavailableError(Exception):
    """Redis does not answer, or did not answer in time."""


class RedisView:
    """Reads sessions that the session store wrote."""

    def __init__(self, url: str, tenant: str, timeout_ms: int) -> None:
        self._tenant = tenant
        self._client = _client(url, timeout_ms / 1000)
        self._pinger = _client(url, PING_TIMEOUT_S)
        self._stop = threading.Event()
        self.up = True
        self._thread = threading.Thread(target=self._check, name="redis-check", daemon=True)

    def start(self) -> None:
        """Start to check whether Redis answers."""
        self._thread.start()

    def close(self) -> None:
        """Stop checking."""
        self._stop.set()

    def session(self, session_id: str) -> SessionRecord | None:
        """Return a session's record, None if Redis has none.

        Raises
        ------
        RedisUnavailableError
        """
        raw = self._read(redis_session_key(session_id, self._tenant))
        try:
            return SessionRecord.FromString(raw) if raw is not None else None
        except DecodeError:
            return None

    def current_session(self, user_id: str) -> str:
        """Return the id of a user's current session, empty if Redis has none.

        Raises
        ------
        RedisUnavailableError
        """
        raw = self._read(redis_user_key(user_id, self._tenant))
        return raw.decode() if raw is not None else ""

    def _read(self, key: str) -> bytes | None:
        if not self.up:
            metrics.REDIS_READS.labels("not_asked").inc()
            raise RedisUnavailableError
        try:
            raw = cast("bytes | None", self._client.hget(key, "record"))
        except redis.RedisError as e:
            # The next requests do not wait; `_check` notices when Redis is back.
            self.up = False
            metrics.REDIS_READS.labels("failed").inc()
            raise RedisUnavailableError from e
        metrics.REDIS_READS.labels("found" if raw is not None else "absent").inc()
        return raw

    def _check(self) -> None:
        while not self._stop.wait(PING_S):
            try:
                self._pinger.ping()
                self.up = True
            except redis.RedisError:
                self.up = False
            metrics.REDIS_UP.set(self.up)


def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        lib_name=None,  # saves two round trips when connecting
        lib_version=None,
    )
