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


def ready(replica, stop_after_s=0.5):
    stop = threading.Event()
    timer = threading.Timer(stop_after_s, stop.set)
    timer.start()
    result = readiness.wait_until_ready(replica, stop)
    timer.cancel()
    return result


def test_a_replica_serves_once_it_has_caught_up(replica):
    """Half-learned models must not answer as if they were whole."""
    assert not ready(replica)
    replica.caught_up = True
    assert ready(replica)


def test_a_snapshot_serves_without_kafka_after_a_while(replica):
    """Yesterday's models are better than none while Kafka is away."""
    replica.engine.learn(replica.engine.open_session(), "a")
    assert not ready(replica)  # Kafka is there: catch up first
    replica.kafka_up = False
    assert ready(replica)


def test_an_empty_replica_does_not_serve_without_kafka(replica):
    """There is nothing to answer from."""
    replica.kafka_up = False
    assert not ready(replica)
