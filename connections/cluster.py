"""The masters of a Redis Cluster, and the way to each key's.

`redis.RedisCluster` would do, but it drops the check of host names under TLS (redis-py 5), forgets
the nodes that have failed until it knows none, sends each command of a pipeline that has failed
again on its own, and sleeps: a request, or the store, would stand still for minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError

from connections.masters import Call, Command, Masters, pipelined
from settings.redis import Address

MAX_REDIRECTIONS = 5
"""The most times that a command is sent on to where its key's slot has moved."""


class ClusterMasters(Masters):
    """The masters of a cluster.

    Parameters
    ----------
    first
        A node, or a name of several, that is asked where those that were known do not answer.
    connect
        Makes the client of a node, whose connections parse with `ClusterParser`.
    """

    def __init__(self, first: Address, connect: Callable[[Address], redis.Redis]) -> None:
        self._first = first
        self._connect = connect
        self._nodes: dict[Address, redis.Redis] = {}
        self._owners = [""] * REDIS_CLUSTER_HASH_SLOTS
        self.clients = {}

    def refresh(self) -> None:
        """Ask a node which master serves which slots."""
        known = random.sample(list(self._nodes), len(self._nodes))
        for asked in known:
            try:
                self._ask(asked)
            except redis.RedisError:
                continue  # the others, or whoever has its name now, may know
            return
        self._ask(self._first)

    def _ask(self, asked: Address) -> None:
        """Take over what a node says of each range of slots: first, last, master and replicas."""
        slots: Any = self._node(asked).execute_command("CLUSTER", "SLOTS")
        owners = [""] * REDIS_CLUSTER_HASH_SLOTS
        masters: dict[str, redis.Redis] = {}
        nodes: dict[Address, redis.Redis] = {}
        for first, last, *of_range in slots:
            # A node that does not know its own host is the one that was asked.
            range_nodes = [Address((n[0] or b"").decode() or asked.host, n[1]) for n in of_range]
            nodes |= {address: self._node(address) for address in range_nodes}
            master = range_nodes[0]
            name = f"{master.host}:{master.port}"
            masters[name] = nodes[master]
            owners[first : last + 1] = [name] * (last + 1 - first)
        self._nodes, self.clients, self._owners = nodes, masters, owners

    def _node(self, address: Address) -> redis.Redis:
        if address not in self._nodes:
            self._nodes[address] = self._connect(address)
        return self._nodes[address]

    def of(self, key: str) -> str:
        """Return the name of the master that holds a key, empty if none is known."""
        return self._owners[key_slot(key.encode())]

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Return each key alone: of several, some may have moved while their slot is moving."""
        return [[key] for key in keys]

    def send(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies to commands, also of keys that are moving or have moved."""
        replies: list[Any] = [None] * len(calls)
        waiting = list(range(len(calls)))
        for _ in range(MAX_REDIRECTIONS):
            try:
                answered = super().send([calls[place] for place in waiting])
            except (redis.ConnectionError, redis.TimeoutError):
                self.refresh()  # a replica may have taken over
                raise
            for place, reply in zip(waiting, answered, strict=True):
                replies[place] = reply
                if type(reply) is AskError:
                    replies[place] = self._asked(reply, calls[place][1])
            waiting = [place for place in waiting if type(replies[place]) is MovedError]
            if not waiting:
                break
            self.refresh()
        return replies

    def _asked(self, moving: AskError, command: Command) -> Any:
        """Return the reply of the master that a slot is moving to."""
        client = self._node(Address(moving.host, moving.port))
        return pipelined(client, [("ASKING",), command])[-1]
