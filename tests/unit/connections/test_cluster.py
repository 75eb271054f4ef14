"""The layout of a cluster, as its nodes tell it; that keys are found is tested on a real one."""

import pytest
import redis

from connections.cluster import ClusterMasters
from settings.redis import Address


class Nodes:
    """Nodes that say what the slots are, or do not answer."""

    def __init__(self, *slots):
        self.slots, self.away, self.asked = list(slots), set(), []

    def connect(self, address):
        return Node(self, address)


class Node:
    def __init__(self, nodes, address):
        self._nodes, self._address = nodes, address

    def execute_command(self, *command):
        assert command == ("CLUSTER", "SLOTS")
        self._nodes.asked.append(self._address)
        if self._address in self._nodes.away:
            raise redis.ConnectionError("away")
        return self._nodes.slots


FIRST, A, B = Address("first", 1), Address("a", 6379), Address("b", 6379)


def node(address):
    return [address.host.encode(), address.port, b"id"]


def test_any_node_that_is_known_tells_the_masters():
    """The one that the settings name may be the one that is away."""
    nodes = Nodes([0, 8191, node(A), node(Address("replica", 1))], [8192, 16383, node(B)])
    masters = ClusterMasters(FIRST, nodes.connect)
    masters.refresh()
    assert nodes.asked == [FIRST]
    assert list(masters.clients) == ["a:6379", "b:6379"]
    assert {masters.of(f"k{n}") for n in range(50)} == {"a:6379", "b:6379"}
    nodes.away |= {FIRST, A}
    nodes.slots = [[0, 16383, node(B)]]
    masters.refresh()
    assert list(masters.clients) == ["b:6379"]
    nodes.away.add(B)
    with pytest.raises(redis.ConnectionError):
        masters.refresh()
    nodes.away.remove(FIRST)
    masters.refresh()
    assert nodes.asked[-1] == FIRST, "all pods were replaced: their service has the new ones"


def test_a_node_that_does_not_know_its_host_is_where_it_was_asked():
    """Such as one that was just started, or one that announces no endpoint."""
    for host in (b"", None):
        masters = ClusterMasters(FIRST, Nodes([0, 16383, [host, 1, b"id"]]).connect)
        masters.refresh()
        assert list(masters.clients) == ["first:1"]


def test_slots_that_nobody_serves_are_nobodys():
    """A key there must not be looked for on another master, nor on none for ever."""
    masters = ClusterMasters(FIRST, Nodes([0, 100, node(A)]).connect)
    masters.refresh()
    assert {masters.of(f"k{n}") for n in range(500)} == {"a:6379", ""}
    [nobodys] = [f"k{n}" for n in range(500) if not masters.of(f"k{n}")][:1]
    with pytest.raises(redis.ConnectionError, match="no master serves"):
        masters.send([(nobodys, ("HGET", nobodys, "record"))])
