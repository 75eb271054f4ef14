"""Metrics of the session store."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

WRITTEN = Counter(
    "nextclick_store_written_total", "Keys of sessions, users and profiles written to Redis"
)
REDIS_ERRORS = Counter(
    "nextclick_store_redis_errors_total", "Writes to Redis that failed and were retried"
)
REFILLS = Counter(
    "nextclick_store_refills_total", "Times that the log was read again: Redis had lost writes"
)
FOREIGN = Counter(
    "nextclick_store_foreign_keys_total", "Keys left alone: another program's, under our names"
)
UNREADABLE = Counter(
    "nextclick_store_unreadable_total", "Records passed over: unreadable, or beyond a limit"
)
DELAY = Histogram(
    "nextclick_store_delay_seconds",
    "Time from a record's arrival in the log until it was in Redis; of the first of each batch",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
LAG = Gauge("nextclick_store_lag_records", "Records of `sessions` and `profiles` not yet in Redis")

_lags: dict[str, int] = {}


def show_lag(topic: str, records: int) -> None:
    """Show how many records of a topic are not yet in Redis, besides those of the other one."""
    _lags[topic] = records
    LAG.set(sum(_lags.values()))
