"""Slots for what takes a thread while it is open, bounded in all and by client."""

from __future__ import annotations

import threading
from collections import Counter


class ClientSlots:
    """Free slots, of which one client can never take all.

    Parameters
    ----------
    most
        Slots in all.
    most_of_client
        Slots of one client.
    """

    def __init__(self, most: int, most_of_client: int) -> None:
        self._most = most
        self._most_of_client = most_of_client
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many slots are taken."""
        return self._taken.total()

    def take(self, client: str) -> bool:
        """Take a slot for a client; return False if there is none."""
        with self._lock:
            taken = self._taken
            if taken.total() >= self._most or taken[client] >= self._most_of_client:
                return False
            taken[client] += 1
            return True

    def give_back(self, client: str) -> None:
        """Give back a slot that a client has taken."""
        with self._lock:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def client_of(peer: str) -> str:
    """Return the client of a connection, as `grpc.ServicerContext.peer` names it.

    A client is an address: a program that opens more connections is still the same one.

    >>> client_of("ipv4:10.0.0.7:53214")
    'ipv4:10.0.0.7'
    """
    return peer.rpartition(":")[0]
