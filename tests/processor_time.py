"""How long work takes: a test compares it with other work of the same run, and with no number."""

from __future__ import annotations

import time


def floor_seconds():
    """Return what adding up 10,000 numbers takes now: 0.1 to 0.3 ms on the machines we know."""
    return least_seconds(lambda: sum(range(10_000)))


def least_seconds(work, runs=20):
    """Return the least processor time of this thread that a run of ``work()`` takes."""
    took = []
    for _ in range(runs):
        started = time.thread_time()
        work()
        took.append(time.thread_time() - started)
    return min(took)
