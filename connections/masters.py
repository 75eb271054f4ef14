"""The masters of a Redis: the one server, the one that Sentinel names, or those of a cluster.

Whoever reads or writes sessions names keys, and does not know how many masters hold them. Nothing
here connects before it is used, and every failure is a `redis.RedisError`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import redis
from redis.connection import ConnectionPool
from redis.sentinel import SentinelConnectionPool

from nextclick.topics import redis_session_key

Command = tuple[str | bytes | int, ...]

Call = tuple[str, Command]
"""A command, after the key that says which master it is for."""


class Masters:
    """One server, which holds every key.

    Parameters
    ----------
    name
        Its address, or what else people know it by.
    pool
        Makes its connections.
    """

    def __init__(self, name: str, pool: ConnectionPool) -> None:
        self.clients = {name: redis.Redis(connection_pool=pool)}
        """The client of each master, by the master's name."""

    def refresh(self) -> None:
        """Find out which servers are masters, if that may change."""

    def of(self, key: str) -> str:
        """Return the name of the master that holds a key, empty if none is known; asks nobody."""
        del key
        return next(iter(self.clients))

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Return keys in groups that one script may touch."""
        return [keys] if keys else []

    def send(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies to commands; those that were refused have their error as a reply.

        Takes a round trip for each master. Raises the error where a master does not answer.
        """
        replies: list[Any] = [None] * len(calls)
        by_master: dict[str, list[int]] = defaultdict(list)
        for place, (key, _) in enumerate(calls):
            by_master[self.of(key)].append(place)
        for name, places in by_master.items():
            if name not in self.clients:
                raise redis.ConnectionError("no master serves the slots of some keys")
            answered = pipelined(self.clients[name], [calls[place][1] for place in places])
            for place, reply in zip(places, answered, strict=True):
                replies[place] = reply
        return replies

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients.values():
            client.connection_pool.disconnect()


class SentinelMaster(Masters):
    """The master of a service that Sentinel watches: another server after a failover."""

    def __init__(self, service: str, pool: SentinelConnectionPool) -> None:
        super().__init__(service, pool)
        self._pool = pool

    def refresh(self) -> None:
        """Ask the Sentinels who is master."""
        host, port = self._pool.get_master_address()
        if (name := f"{host}:{port}") not in self.clients:
            self.clients = {name: next(iter(self.clients.values()))}


def pipelined(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    """Return the replies of one server, errors among them.

    An error is as the server gave it: that of a pipeline which raises would quote the command.
    """
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return list(pipe.execute(raise_on_error=False))


def probe(tenant: str) -> Command:
    """Return a command that takes what reading sessions takes; a master may answer MOVED."""
    return ("HGET", redis_session_key("", tenant), "record")


def is_of_another_kind(reply: Any) -> bool:
    """Whether a reply is the error of a key that is none of ours, such as another program's."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")
