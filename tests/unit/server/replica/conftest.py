"""Fixtures of the tests of a replica's log."""

import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.replica import log_reader, log_watch
from server.replica.log_reader import LogReader
from server.replica.replica import Replica
from settings.server import ServerSettings
from tests.unit.server.replica.played_log import FakeBroker, FakeConsumer


@pytest.fixture
def replica():
    return Replica(Engine(Limits(max_items=16, max_sessions=16, pairs=16), sample=0, remote=True))


@pytest.fixture
def reader(replica, monkeypatch):
    """Makes readers, and stops them in the end."""
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
    monkeypatch.setattr(log_reader, "Broker", FakeBroker)
    monkeypatch.setattr(log_watch, "MEASURE_S", 0.001)
    monkeypatch.setattr(log_watch, "ASK_TOPICS_S", 0.001)
    monkeypatch.setattr(log_reader, "RETRY_S", 0.001)
    made = []

    def make(**hooks):
        made.append(LogReader(replica, ServerSettings(), **hooks))
        return made[-1]

    yield make
    for one in made:
        assert one.stop()
        assert one._consumer.closed
