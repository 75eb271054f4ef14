"""How long clicks take on their way into the models, by hop."""

from __future__ import annotations

import time
from collections.abc import Callable

from server import metrics

SESSIONS_JOB, REPLICA = "sessions_job", "replica"
"""The hops: from an event's arrival in Kafka to that of its session's record, written by the
sessions job; from there until the record was applied here."""


class Freshness:
    """Measures the newest click, now and then: a look at each would cost more than it tells.

    Parameters
    ----------
    clock
        Returns seconds since 1970. The times of arrival are the broker's: a clock that differs from
        that one shifts the second hop.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._newest: tuple[int, int, float] | None = None

    def note(self, appended_ms: int, arrived_ms: int) -> None:
        """Note that a click was applied: when it arrived in `events`, its record in `sessions`."""
        self._newest = appended_ms, arrived_ms, self._clock()

    def observe(self) -> None:
        """Observe the hops of the newest click, unless that was done before."""
        newest, self._newest = self._newest, None
        if newest is None:
            return
        appended_ms, arrived_ms, applied_s = newest
        if appended_ms:  # records of the versions before have none
            _observe(SESSIONS_JOB, (arrived_ms - appended_ms) / 1000)
        _observe(REPLICA, applied_s - arrived_ms / 1000)


def _observe(hop: str, seconds: float) -> None:
    metrics.FRESHNESS.labels(hop).observe(max(seconds, 0.0))
