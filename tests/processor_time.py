"""How long work takes: a test compares it with other work of the same run, and with no number."""

from __future__ import annotations

import time


def least_seconds(work, runs=20):
    """Return the least processor time of this thread that a run of ``work()`` takes."""
    took = []
    for _ in range(runs):
        started = time.thread_time()
        work()
        took.append(time.thread_time() - started)
    return min(took)
