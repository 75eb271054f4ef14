"""Benchmarks at a small size, so that they never rot; no figure is judged here."""

import json
import subprocess
import sys

from confluent_kafka import Consumer

from cli.bench import learning
from cli.bench.freshness import backlog, measure


def test_freshness_measures_probes_beside_a_load(stack):
    """The benchmark behind the README's figure must run, and count its backlog."""
    result = measure(stack, rate=50, seconds=3, warm_up=1, probes=1)
    assert result["probes"] >= 1
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]
    assert result["put_events_p50_ms"] > 0
    assert len(result["hops_ms"]) == 3
    assert result["hops_ms"]["sessions job"] >= 0
    watcher = Consumer({"bootstrap.servers": stack.kafka, "group.id": "test"})
    assert backlog(watcher) >= 0
    watcher.close()


def test_index_measures_recall_in_churn():
    """The benchmark of the vector index must run; no figure is judged."""
    args = ["bench", "index", "--items", "400", "--changes", "60", "--queries", "100", "--json"]
    command = [sys.executable, "-m", "cli.main", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    result = json.loads(done.stdout)
    assert 0.9 < result["recall_at_50"] <= 1
    assert result["p99_rest_us"] > 0
    assert result["p99_churn_us"] > 0
    assert result["changes_per_s"] > 0


def test_learning_measures_both_learners(stack):
    """The benchmark of the learners must run on jobs of its own, and end them."""
    result = learning.measure(stack, examples=300, clicks=400)
    # It waits until all is learned; how fast so few were says nothing.
    assert (result["examples"], result["clicks"]) == (300, 400)
    assert {"examples_per_s", "clicks_per_s"} <= set(result)
