"""What a process is, for Prometheus: its role, its tenant, and its version."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import Gauge

PROCESS = Gauge(
    "nextclick_info",
    "Always 1; the labels say what this process is, and whose: join it to other metrics by "
    "instance",
    ["role", "tenant", "version"],
)


def show_process(role: str, tenant: str) -> None:
    """Say what this process is."""
    PROCESS.labels(role, tenant, version("nextclick")).set(1)
