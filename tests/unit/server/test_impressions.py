"""Impressions never hold up an answer: beyond the queue they are dropped, and counted."""

import time

from prometheus_client import REGISTRY

from nextclick.v1.impression_pb2 import Impression
from server.impressions import Impressions
from server.settings import ServerSettings


def value(name):
    return REGISTRY.get_sample_value(name) or 0.0


def test_a_full_queue_drops_and_counts():
    """With Kafka away, memory stays bounded and the operator sees what is missing."""
    settings = ServerSettings(kafka="127.0.0.1:1", impressions_queue=5)
    impressions = Impressions(settings)
    queued = value("nextclick_impressions_total")
    dropped = value("nextclick_impressions_dropped_total")
    started = time.perf_counter()
    for i in range(20):
        impression = Impression(recommendation_id=f"r{i}", session_id="s", item_ids=["a", "b"])
        impressions.put(impression.SerializeToString(), "s")
    assert time.perf_counter() - started < 1
    assert value("nextclick_impressions_total") - queued == 5
    assert value("nextclick_impressions_dropped_total") - dropped == 15
    impressions._stop.set()
