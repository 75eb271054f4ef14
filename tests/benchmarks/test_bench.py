"""Benchmarks at a small size, so that they never rot; no figure is judged here."""

from confluent_kafka import Consumer

from cli.bench.freshness import backlog, measure


def test_freshness_measures_probes_beside_a_load(stack):
    """The benchmark behind the README's figure must run, and count its backlog."""
    result = measure(stack, rate=50, seconds=3, warm_up=1, probes=5)
    assert result["probes"] >= 5
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]
    watcher = Consumer({"bootstrap.servers": stack.kafka, "group.id": "test"})
    assert backlog(watcher) >= 0
    watcher.close()
