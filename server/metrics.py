"""Prometheus metrics of a replica.

A gauge that would mislead at 0 is no number until it was first set: a recall that nobody has
measured yet is not low. Labels whose values are known have them from the start: Prometheus takes
the first value of a series that appears for no increase.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from nextclick.codec import DeadLetterReason
from nextclick.v1.recommendation_service_pb2 import DegradedReason

UNKNOWN_REASON = "unknown"
"""The reason of a dead letter that names none that is known."""

LATENCY_BUCKETS = (
    *(0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_75),
    *(0.001, 0.001_5, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1),
)
"""Seconds. Answers take 0.1 to 2 ms, so the buckets are closest there."""

FRESHNESS_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
"""Seconds. A record's arrival in Kafka is known to the millisecond."""


def _unknown(gauge: Gauge) -> Gauge:
    """Return a gauge that is no number until it is set."""
    gauge.set(math.nan)
    return gauge


def _with(counter: Counter, values: Iterable[str]) -> Counter:
    """Return a counter that has the known values of its label from the start."""
    for value in values:
        counter.labels(value)
    return counter


REQUESTS = Counter(
    "nextclick_requests_total", "Calls answered; a stream counts each answer", ["method", "code"]
)
REFUSED = _with(
    Counter(
        "nextclick_calls_refused_total",
        "Calls that were closed without their handler: without a token, or with one that lacks "
        "their scope; their deadline had passed, or their message did not come",
        ["reason"],
    ),
    ("unauthenticated", "permission_denied", "late", "no_message"),
)
LATENCY = Histogram(
    "nextclick_request_seconds",
    "Time in the handler of each call that was answered",
    ["method"],
    buckets=LATENCY_BUCKETS,
)
LANE_CALLS = Gauge(
    "nextclick_lane_calls", "Calls that a lane's threads work on, or that wait for one", ["lane"]
)
OPEN_STREAMS = Gauge("nextclick_open_streams", "Streams that clients keep open", ["kind"])
SERVING = Gauge(
    "nextclick_serving", "Whether the process is ready: it answers, or emits examples of new clicks"
)
DEGRADED = _with(
    Counter("nextclick_degraded_total", "Degraded answers", ["reason"]), DegradedReason.keys()[1:]
)
LAG = Gauge("nextclick_log_lag_records", "Records of the log not yet applied", ["topic"])
STALENESS = Gauge(
    "nextclick_staleness_seconds", "How long the first click that is not yet applied has waited"
)
FRESHNESS = Histogram(
    "nextclick_freshness_seconds",
    "Time that a click takes for a hop on its way into answers; of the newest one, 10 times a "
    "second",
    ["hop"],
    buckets=FRESHNESS_BUCKETS,
)
KAFKA_UP = Gauge("nextclick_kafka_up", "Whether the broker has answered in the last 5 s")
MODEL_CLICKS = Gauge("nextclick_model_clicks", "Clicks that the models have learned")
SESSIONS = Gauge("nextclick_sessions", "Sessions in memory")
ITEMS = Gauge("nextclick_items", "Items that have a row in the models")
MAX_SESSIONS = Gauge("nextclick_max_sessions", "The most sessions that the models hold")
MAX_ITEMS = Gauge("nextclick_max_items", "The most items that the models hold")
ANSWERING = Gauge("nextclick_answering", "Whether a ranking is the one that answers", ["model"])
PREQUENTIAL_SCORE = Gauge(
    "nextclick_prequential_score",
    "Prequential score: on examples, each scored before it is learned",
    ["model", "metric"],
)
SCORE = Gauge(
    "nextclick_score", "Score of a ranking on live answers", ["model", "metric", "window"]
)
SCORE_PUBLISHED = Gauge(
    "nextclick_score_published_timestamp_seconds",
    "When the score job last published a ranking's score, in seconds since 1970",
    ["model"],
)
CLICK_THROUGH_RATE = Gauge(
    "nextclick_click_through_rate", "Attributed clicks per answer shown", ["model"]
)
DRIFT = Gauge(
    "nextclick_drift_began_timestamp_seconds",
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
USERS = Gauge("nextclick_users", "Users of whom something is said, in memory")
MAX_USERS = Gauge("nextclick_max_users", "The most users in memory")
USERS_LEFT = Counter("nextclick_users_left_total", "Users that have left memory for others")
PROFILES = Gauge("nextclick_profiles", "Profiles of users in memory")
MAX_PROFILES = Gauge("nextclick_max_profiles", "The most profiles in memory")
PROFILES_LEFT = Counter(
    "nextclick_profiles_left_total", "Profiles that have left memory for others"
)
UNREADABLE = Counter(
    "nextclick_unreadable_total",
    "Records of the log that were passed over",
    ["topic", "reason"],
)
SNAPSHOTS_FAILED = Counter(
    "nextclick_snapshots_failed_total", "Snapshots that could not be written; tried again later"
)
SNAPSHOT_TIME = _unknown(
    Gauge(
        "nextclick_snapshot_timestamp_seconds",
        "When the newest snapshot was written, or found to hold all that was read, in seconds "
        "since 1970",
    )
)
SNAPSHOT_DURATION = _unknown(
    Gauge(
        "nextclick_snapshot_write_seconds",
        "How long the last snapshot took; no log is read meanwhile",
    )
)
SNAPSHOT_INTERVAL = Gauge(
    "nextclick_snapshot_interval_seconds", "Time between two snapshots; 0: only on shutdown"
)
SNAPSHOTS_KEPT = Gauge("nextclick_snapshots_kept", "Snapshots that are kept aside")
DATA_FREE = Gauge("nextclick_data_free_bytes", "Free bytes of the disk with the data folder")
DATA_SIZE = Gauge("nextclick_data_size_bytes", "Size of that disk")
DEAD_LETTERS = _with(
    Counter("nextclick_dead_letters_total", "Dead letters since this replica started", ["reason"]),
    (*DeadLetterReason, UNKNOWN_REASON),
)
PRODUCER_QUEUE = Gauge(
    "nextclick_producer_queue_records",
    "Records that the broker has not acknowledged yet",
    ["producer"],
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
EXAMPLES_PASSED_OVER = Counter(
    "nextclick_examples_passed_over_total",
    "Sampled clicks that made no example, since the emitter was late",
)
EMITTER_PAUSED = Gauge(
    "nextclick_emitter_paused", "Whether the emitter waits for learners that are behind"
)
HELD_VECTORS = Gauge(
    "nextclick_held_vectors",
    "Vectors that the emitter holds until it has applied the clicks that they were learned from",
)
LEARNER_PUBLISHED = Gauge(
    "nextclick_learner_published_timestamp_seconds",
    "When a learner last published, in seconds since 1970",
    ["model"],
)
LEARNER_APPLIED = Gauge(
    "nextclick_learner_applied",
    "Records that a learner has applied, learned from or not; less again after it has crashed",
    ["model"],
)
LEARNER_PASSED_OVER = Gauge(
    "nextclick_learner_passed_over", "Of these, records of sessions outside the sample", ["model"]
)
LEARNER_SAMPLING = Gauge(
    "nextclick_learner_sampling", "Whether a learner is late, and learns a sample", ["model"]
)
LEARNER_PAUSED = Gauge("nextclick_learner_paused", "Whether a learner is paused", ["model"])
INDEX_RECALL = _unknown(
    Gauge("nextclick_index_recall", "Share of the true 50 nearest vectors that the index finds")
)
INDEX_DELTA = Gauge("nextclick_index_delta", "Vectors changed since the index was built")
INDEX_BUILDS = Counter("nextclick_index_builds_total", "Rebuilds of the vector index")
INDEX_BUILDS_FAILED = Counter(
    "nextclick_index_builds_failed_total", "Rebuilds of the vector index that failed; retried"
)
CONTENT_VECTORS = Gauge("nextclick_content_vectors", "Items that have a content vector")
CONTENT_WITHOUT_VECTOR = Gauge(
    "nextclick_content_without_vector",
    "Items of the catalogue whose content the basis knows nothing of: they have no content vector",
)
CONTENT_WAITING = Gauge(
    "nextclick_content_waiting", "Items of the catalogue that wait for their content vector"
)
NEW_ITEMS_WAITING = Gauge(
    "nextclick_new_items_waiting",
    "New items that wait to be put on the lists of the items that they are like",
)
CONTENT_AGE = _unknown(
    Gauge("nextclick_content_basis_age_seconds", "Age of the basis of the content vectors")
)
CONTENT_FITS = Counter("nextclick_content_fits_total", "Fits of the basis of the content vectors")
CONTENT_FITS_FAILED = Counter(
    "nextclick_content_fits_failed_total",
    "Fits of the basis of the content vectors that failed; retried",
)
VECTORS = Gauge("nextclick_vectors", "Items that have vectors")
EVENTS = _with(
    Counter("nextclick_events_total", "Events of PutEvents", ["outcome"]),
    ("accepted", "refused", "not_acknowledged"),
)
REDIS_UP = _unknown(Gauge("nextclick_redis_up", "Whether Redis answers"))
REDIS_READS = _with(
    Counter("nextclick_redis_reads_total", "Reads from Redis while answering", ["outcome"]),
    ("found", "absent", "failed", "not_asked"),
)
