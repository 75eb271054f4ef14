"""Metrics of the session store."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

WRITTEN = Counter("nextclick_store_written_total", "Keys of sessions and users written to Redis")
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
LAG = Gauge("nextclick_store_lag_records", "Records of `sessions` not yet in Redis")
