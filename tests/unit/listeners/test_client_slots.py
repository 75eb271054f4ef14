"""Slots: one client cannot take all of them."""

from listeners.client_slots import ClientSlots, client_of


def test_one_client_leaves_slots_to_others():
    """64 silent streams of one program kept StreamRecommend from everybody else."""
    slots = ClientSlots(3, 2)
    assert [slots.take("a") for _ in range(3)] == [True, True, False]
    assert [slots.take("b") for _ in range(2)] == [True, False]
    assert slots.taken == 3
    slots.give_back("a")
    assert slots.take("b")
    assert not slots.take("a")


def test_connections_of_one_address_are_of_one_client():
    """A port is drawn anew for every connection: a limit by port would be none."""
    assert client_of("ipv4:10.0.0.7:53214") == client_of("ipv4:10.0.0.7:53215")
    assert client_of("ipv4:10.0.0.7:53214") != client_of("ipv4:10.0.0.8:53214")
    assert client_of("ipv6:%5B::1%5D:53214") == "ipv6:%5B::1%5D"
