"""Settings of the Python interpreter that keep its pauses out of answers."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.001
"""Longest wait of a request for a thread that holds the GIL. Python's default of 5 ms would be all
of its time."""

GC_THRESHOLDS = (5_000, 5, 100_000)
"""Young garbage is collected in steps of about a millisecond, the oldest generation never: a full
collection would look at every session in memory while requests wait."""


def switch_threads_often() -> None:
    """Have threads that compute release the GIL for requests after a millisecond."""
    sys.setswitchinterval(SWITCH_S)


def exempt_from_collection() -> None:
    """Exempt all objects of now, the models above all, from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
