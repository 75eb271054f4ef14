"""Impressions never hold up an answer: beyond queue and rate they are left out, and counted."""

from prometheus_client import REGISTRY

from nextclick.v1.impression_pb2 import Impression
from server.kafka.impressions import Impressions
from settings.server import ServerSettings
from tests.unit.server.replica.played_log import until


def value(name):
    return REGISTRY.get_sample_value(name) or 0.0


def test_a_full_queue_drops_and_counts():
    """With Kafka away, memory stays bounded and the operator sees what is missing."""
    settings = ServerSettings(kafka="127.0.0.1:1", impressions_queue=5)
    impressions = Impressions(settings)
    queued = value("nextclick_impressions_total")
    dropped = value("nextclick_impressions_dropped_total")
    for i in range(20):
        impression = Impression(recommendation_id=f"r{i}", session_id="s", item_ids=["a", "b"])
        impressions.put(impression.SerializeToString(), "s")
    # One that waited for room would have got some: after 30 s the first ones are given up.
    assert value("nextclick_impressions_total") - queued == 5
    assert value("nextclick_impressions_dropped_total") - dropped == 15
    queue = {"producer": "impressions"}
    until(lambda: REGISTRY.get_sample_value("nextclick_producer_queue_records", queue) == 5)
    impressions._stop.set()


def test_of_many_answers_so_many_a_second_are_recorded(monkeypatch):
    """Else a busy server has the score job take in thousands, on the cores of whom it serves."""
    clock = 100.0
    monkeypatch.setattr("server.kafka.impressions.time.monotonic", lambda: clock)
    impressions = Impressions(ServerSettings(kafka="127.0.0.1:1", impressions_per_s=50))
    left_out = value("nextclick_impressions_passed_over_total")
    assert [impressions.due() for _ in range(80)].count(True) == 51
    assert value("nextclick_impressions_passed_over_total") - left_out == 29
    taken = 0
    for _ in range(1_000):
        clock += 0.002
        taken += impressions.due()
    assert 95 <= taken <= 105, "500 answers a second for two seconds"
    for _ in range(100):
        clock += 0.1
        assert impressions.due(), "a server that answers little records all"
    impressions._stop.set()
