"""Connections to one Redis that stand ready, so that no request waits for one to be made.

With TLS, a user and perhaps Sentinel to be asked, making one takes longer than a request may wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import redis
from redis.connection import Connection, ConnectionPool
from redis.exceptions import NoPermissionError

from connections.masters import Command

CONNECTIONS = 6
"""One for each thread that reads (`server.transport.lanes`), and one that is being checked."""

CHECK_TIMEOUT_S = 0.25
"""Of a probe: a Redis that is slow, but answers, is up."""


class NotReadyError(redis.ConnectionError):
    """No connection stands ready: nothing was asked."""


class ReadyConnections:
    """Some connections to one Redis.

    Parameters
    ----------
    pool
        Makes them.
    probe
        A command that a Redis in order answers.
    timeout_s
        Of each write and read of `ask`.
    """

    def __init__(self, pool: ConnectionPool, probe: Command, timeout_s: float) -> None:
        self._probe = probe
        self._timeout_s = timeout_s
        self._ready: deque[Connection] = deque()
        made = (pool.make_connection() for _ in range(CONNECTIONS))
        self._lost = deque(cast("Connection", connection) for connection in made)
        self.up = False
        """Whether Redis has answered the last time."""

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies, errors among them, in one round trip.

        Never connects: raises `NotReadyError` if no connection stands ready. Raises another
        `redis.RedisError` if Redis does not answer; then `check` notices when it does again.
        """
        if not self.up:
            raise NotReadyError("Redis did not answer")
        try:
            connection = self._ready.pop()
        except IndexError:
            raise NotReadyError("all connections are in use") from None
        try:
            replies = _replies(connection, commands, self._timeout_s)
        except BaseException:
            self.up = False
            self._lose(connection)
            raise
        self._ready.append(connection)
        return replies

    def check(self) -> None:
        """Probe a connection, another one each time, and make those that are missing.

        Raises a `redis.RedisError` if Redis does not answer.
        """
        try:
            try:
                if self._ready:
                    self._probed(self._ready.popleft())
            except redis.RedisError:
                self._lose_all()  # after a restart none of them is any good
            while self._lost:
                self._probed(self._lost.popleft())
        except redis.RedisError:
            self.up = False
            self._lose_all()
            raise
        self.up = True

    def _probed(self, connection: Connection) -> None:
        """Have a connection stand ready, connected, if Redis answers the probe."""
        try:
            connection.connect()
            [reply] = _replies(connection, [self._probe], CHECK_TIMEOUT_S)
            if isinstance(reply, NoPermissionError):
                raise reply
        except BaseException:
            self._lose(connection)
            raise
        self._ready.append(connection)

    def close(self) -> None:
        """Close what is not in use."""
        self.up = False
        self._lose_all()

    def _lose(self, connection: Connection) -> None:
        connection.disconnect()
        self._lost.append(connection)

    def _lose_all(self) -> None:
        while self._ready:
            self._lose(self._ready.popleft())


def _replies(connection: Connection, commands: Sequence[Command], timeout_s: float) -> list[Any]:
    """Return the replies of a connection, errors among them; each read may take the timeout."""
    sock: Any = connection._sock
    sock.settimeout(timeout_s)  # it was made with another timeout, which handshakes need
    connection.send_packed_command(connection.pack_commands(commands))
    return [_reply(connection) for _ in commands]


def _reply(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as e:
        return e
