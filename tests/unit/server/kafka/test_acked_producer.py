"""Writes that a caller waits for end before the caller's patience does."""

import pytest
from prometheus_client import REGISTRY

from server.kafka import acked_producer
from server.kafka.acked_producer import REPLY_S, AckedProducer, waiting_time
from settings.server import ServerSettings
from tests.unit.server.replica.played_log import until


@pytest.mark.parametrize("left_s", [0.004, 0.2, 1.0, 60.0])
def test_waiting_leaves_time_for_the_reply(left_s):
    """DEADLINE_EXCEEDED would not say which events to send again."""
    assert left_s - waiting_time(1_000, left_s) == pytest.approx(min(REPLY_S, left_s / 4))


@pytest.mark.parametrize("left_s", [None, 60.0])
def test_waiting_ends_at_the_servers_own_limit(left_s):
    """A caller without a deadline must not hold a thread for ever."""
    assert waiting_time(10, left_s) == 10


def test_what_the_broker_does_not_acknowledge_is_an_error_of_each_record(monkeypatch):
    """Each one is sent again; the waiting is as long as the caller's deadline allows."""
    waits = []
    monkeypatch.setattr(acked_producer._Countdown, "wait", lambda _, seconds: waits.append(seconds))
    acked = AckedProducer(ServerSettings(kafka="127.0.0.1:1", put_timeout_s=60))
    outcomes = acked.put("events", [("k", b"a"), ("k", b"b")], 0.2)
    queue = {"producer": "puts"}
    until(lambda: REGISTRY.get_sample_value("nextclick_producer_queue_records", queue) == 2)
    acked._stop.set()
    assert len(outcomes) == 2
    assert all("in time" in outcome.error for outcome in outcomes)
    assert waits == [waiting_time(60, 0.2)]
