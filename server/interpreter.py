"""Settings of the Python interpreter that keep its pauses from delaying answers."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.001
"""Longest time that a request waits for a thread that holds the GIL. Python's default, 5 ms, is
longer than an answer."""

GC_THRESHOLDS = (5_000, 5, 100_000)
"""Young garbage is collected in steps of about a millisecond, the oldest generation never: a full
collection would visit every session in memory while requests wait."""


def switch_threads_often() -> None:
    """Make computing threads release the GIL for requests after a millisecond."""
    sys.setswitchinterval(SWITCH_S)


def exempt_from_collection() -> None:
    """Exempt all current objects, above all the models, from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
