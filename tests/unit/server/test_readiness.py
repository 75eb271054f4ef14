"""When a replica begins to serve."""

import threading

import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from server import readiness
from server.replica.replica import Replica


@pytest.fixture
def replica(monkeypatch):
    monkeypatch.setattr(readiness, "WITHOUT_KAFKA_S", 0.05)
    return Replica(Engine(Limits(max_items=16, max_sessions=16, pairs=16)))


class Ending(threading.Event):
    """Is set when it has been asked so often: a minute of looks, or a few."""

    def __init__(self, looks):
        super().__init__()
        self._looks = looks

    def wait(self, timeout=None):
        self._looks -= 1
        return self._looks < 0 or super().wait(timeout)


def ready(replica, looks=3_000):
    return readiness.wait_until_ready(replica, Ending(looks))


def waits(replica):
    """Whether it is not ready, far beyond `WITHOUT_KAFKA_S`."""
    return not ready(replica, looks=10)


def test_a_replica_serves_once_it_has_caught_up(replica):
    """Half-learned models must not answer as if they were whole."""
    assert waits(replica)
    replica.caught_up = True
    assert ready(replica)


def test_a_snapshot_serves_without_kafka_after_a_while(replica):
    """Yesterday's models are better than none while Kafka is away."""
    replica.engine.learn(replica.engine.open_session(), "a")
    assert waits(replica)  # Kafka is there: catch up first
    replica.kafka_up = False
    assert ready(replica)


def test_an_empty_replica_does_not_serve_without_kafka(replica):
    """There is nothing to answer from."""
    replica.kafka_up = False
    assert waits(replica)
