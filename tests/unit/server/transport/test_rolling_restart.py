"""Servers that are restarted one after another while the shipped clients call them."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from nextclick import AsyncClient, Client, Event
from server.transport.health import Health
from tests.unit.server.transport.served import LIMIT_S, Served, now, until

CALLERS = 4
ROUNDS = 3
CONNECTIONS = 5


class Farm:
    """Two servers of the same shop; either can be restarted."""

    def __init__(self, **more):
        self._more = {"max_waiting_puts": 20, **more}
        self.servers = [self._serve(), self._serve()]
        self.target = ",".join(f"127.0.0.1:{served.port}" for served in self.servers)

    def _serve(self, **more):
        served = Served(**self._more, **more)
        served.server.set_serving(True)
        return served

    def restart(self, place):
        old = self.servers[place]
        old.server.drain(LIMIT_S)
        old.close()
        self.servers[place] = self._serve(grpc_port=old.port)

    def take_calls(self):
        """Wait until each server has answered since its start."""
        until(lambda: all(map(answered, self.servers)))

    def close(self):
        for served in self.servers:
            served.close()


@pytest.fixture
def farm():
    farm = Farm()
    yield farm
    farm.close()


def answered(served):
    return len(served.producer.records) + len(served.shop.impressions.seen)


def event(caller):
    return Event("view", "a", now(), session_id=f"s{caller}")


@contextmanager
def blocking_callers(target, failures):
    """Call from threads until the block ends; keep what fails."""
    end = threading.Event()
    with Client(target, timeout_s=LIMIT_S) as client:

        def call(caller):
            while not end.is_set():
                try:
                    assert len(client.recommend(f"s{caller}").items) == 20
                    assert client.put_events([event(caller)]).accepted == 1
                except Exception as failure:
                    failures.append(failure)

        threads = [threading.Thread(target=call, args=[caller]) for caller in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join(LIMIT_S)


@contextmanager
def asyncio_callers(target, failures):
    """Do the same with the asyncio client, from the tasks of one loop."""
    end = threading.Event()

    async def call(client, caller):
        while not end.is_set():
            try:
                assert len((await client.recommend(f"s{caller}")).items) == 20
                assert (await client.put_events([event(caller)])).accepted == 1
            except Exception as failure:
                failures.append(failure)

    async def call_all():
        async with AsyncClient(target, timeout_s=LIMIT_S) as client:
            await asyncio.gather(*(call(client, caller) for caller in range(CALLERS)))

    thread = threading.Thread(target=asyncio.run, args=[call_all()])
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(LIMIT_S)


CALLS = pytest.mark.parametrize("callers", [blocking_callers, asyncio_callers])


@CALLS
def test_no_call_fails_while_servers_are_restarted_one_after_another(farm, callers):
    """An upgrade must not cost a page its recommendations, or a shop its events."""
    failures = []
    with callers(farm.target, failures):
        for _ in range(ROUNDS):
            for place in range(2):
                farm.take_calls()
                farm.restart(place)
        farm.take_calls()
    assert not failures


@CALLS
def test_no_call_fails_where_connections_reach_their_age(callers, monkeypatch):
    """Clients are sent away at intervals, so that a new replica gets its share."""
    connections, watch = [], Health._watch

    def counted(self, requests, context):  # each connection of a list has one watcher
        connections.append(context.peer())
        return watch(self, requests, context)

    monkeypatch.setattr(Health, "_watch", counted)
    farm = Farm(connection_age_s=0.2)
    failures = []
    try:
        with callers(farm.target, failures):
            until(lambda: len(set(connections)) >= 2 * CONNECTIONS)
            farm.take_calls()
    finally:
        farm.close()
    assert not failures
