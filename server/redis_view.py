"""Sessions in Redis, for those that are not in memory: one short read behind a breaker.

The breaker opens after a few failures in a row; while it is open requests do not wait for
Redis at all, and a thread of its own finds out when Redis is back.
"""

from __future__ import annotations

import threading
from typing import cast

import redis
from google.protobuf.message import DecodeError

from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord
from server import metrics

FAILURES, PROBE_S = 2, 0.5


class RedisUnavailableError(Exception):
    """Redis did not answer in time, or the breaker is open."""


class RedisView:
    """Reads sessions that the session store wrote."""

    def __init__(self, url: str, tenant: str, timeout_ms: int) -> None:
        timeout = timeout_ms / 1000
        self._tenant = tenant
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            lib_name=None,  # two round trips less when connecting
            lib_version=None,
        )
        self._prober = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._failures = 0
        self._open = False
        self._stop = threading.Event()

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
        """Return the id of a user's current session, empty if Redis has none."""
        raw = self._read(redis_user_key(user_id, self._tenant))
        return raw.decode() if raw is not None else ""

    def close(self) -> None:
        """End the probing."""
        self._stop.set()

    def _read(self, key: str) -> bytes | None:
        if self._open:
            metrics.REDIS_READS.labels("breaker_open").inc()
            raise RedisUnavailableError
        try:
            raw = cast("bytes | None", self._client.hget(key, "record"))
        except redis.RedisError as e:
            metrics.REDIS_READS.labels("failed").inc()
            self._failures += 1
            if self._failures >= FAILURES:
                self._open = True
                threading.Thread(target=self._probe, name="redis-probe", daemon=True).start()
            raise RedisUnavailableError from e
        self._failures = 0
        metrics.REDIS_READS.labels("found" if raw is not None else "absent").inc()
        return raw

    def _probe(self) -> None:
        while not self._stop.wait(PROBE_S):
            try:
                self._prober.ping()
            except redis.RedisError:
                continue
            self._failures = 0
            self._open = False
            return
