"""Prometheus metrics of a replica."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "nextclick_requests_total", "Calls answered; a stream counts each answer", ["method", "code"]
)
LATENCY = Histogram(
    "nextclick_request_seconds",
    "Time in the handler",
    ["method"],
    buckets=(0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
DEGRADED = Counter("nextclick_degraded_total", "Degraded answers", ["reason"])
LAG = Gauge("nextclick_log_lag_records", "Records of the log not yet applied", ["topic"])
STALENESS = Gauge(
    "nextclick_staleness_seconds", "Time from a click's arrival in Kafka to its effect on answers"
)
MODEL_CLICKS = Gauge("nextclick_model_clicks", "Clicks that the models have learned")
SESSIONS = Gauge("nextclick_sessions", "Sessions in memory")
ITEMS = Gauge("nextclick_items", "Items that have a row in the models")
PREQUENTIAL_SCORE = Gauge(
    "nextclick_prequential_score",
    "Prequential score: on examples, each scored before it is learned",
    ["model", "metric"],
)
SCORE = Gauge(
    "nextclick_score", "Score of a ranking on live answers", ["model", "metric", "window"]
)
CLICK_THROUGH_RATE = Gauge(
    "nextclick_click_through_rate", "Attributed clicks per answer shown", ["model"]
)
DRIFT = Gauge(
    "nextclick_drift_began_seconds",
    "When the latest drift of the hit rate began, in seconds since 1970",
    ["model"],
)
ITEMS_REFUSED = Counter(
    "nextclick_items_refused_total", "Catalogue items dropped: too many waited for a row"
)
ITEMS_WAITING = Gauge("nextclick_items_waiting", "Catalogue items that wait for a row")
ENTRIES_DROPPED = Counter(
    "nextclick_entries_dropped_total",
    "Catalogue entries of items that have left, dropped: too many have",
)
UNREADABLE = Counter(
    "nextclick_unreadable_total",
    "Records of the log that were passed over",
    ["topic", "reason"],
)
SNAPSHOTS_FAILED = Counter(
    "nextclick_snapshots_failed_total", "Snapshots that could not be written; tried again later"
)
DEAD_LETTERS = Counter(
    "nextclick_dead_letters_total", "Dead letters since this replica started", ["reason"]
)
IMPRESSIONS = Counter("nextclick_impressions_total", "Impressions handed to the Kafka client")
IMPRESSIONS_PASSED_OVER = Counter(
    "nextclick_impressions_passed_over_total",
    "Answers not recorded because of the limit per second",
)
IMPRESSIONS_DROPPED = Counter(
    "nextclick_impressions_dropped_total", "Impressions dropped: Kafka unavailable, or too slow"
)
EXAMPLES = Counter("nextclick_examples_total", "Examples handed to the Kafka client")
EXAMPLES_DROPPED = Counter(
    "nextclick_examples_dropped_total", "Examples dropped: Kafka unavailable, or too slow"
)
INDEX_RECALL = Gauge(
    "nextclick_index_recall", "Share of the true 50 nearest vectors that the index finds"
)
INDEX_DELTA = Gauge("nextclick_index_delta", "Vectors changed since the index was built")
INDEX_BUILDS = Counter("nextclick_index_builds_total", "Rebuilds of the vector index")
INDEX_BUILDS_FAILED = Counter(
    "nextclick_index_builds_failed_total", "Rebuilds of the vector index that failed; retried"
)
VECTORS = Gauge("nextclick_vectors", "Items that have vectors")
EVENTS = Counter("nextclick_events_total", "Events of PutEvents", ["outcome"])
REDIS_UP = Gauge("nextclick_redis_up", "Whether Redis answers")
REDIS_READS = Counter("nextclick_redis_reads_total", "Reads of sessions from Redis", ["outcome"])
