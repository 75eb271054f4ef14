"""Metrics of the gateway."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "nextclick_gateway_requests_total",
    "Calls over REST, by their google.rpc code",
    ["method", "code"],
)
LATENCY = Histogram(
    "nextclick_gateway_request_seconds",
    "Time from a call's headers until its answer is written, the servers' time included",
    ["method"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
CONNECTIONS = Gauge("nextclick_gateway_connections", "Open connections to REST")
READY = Gauge("nextclick_gateway_ready", "Whether a server can be reached that says SERVING")
