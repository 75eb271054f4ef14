"""Periodic snapshots: after a crash, only minutes of the log need to be read again.

And those that somebody asks for: a backup needs one that is as new as the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from server import metrics
from server.replica import snapshot
from server.replica.replica import Replica

log = logging.getLogger("nextclick.snapshot")


class PeriodicSnapshots:
    """Call it often, from the thread that applies the log: it writes a snapshot when one is due.

    Parameters
    ----------
    replica
        The replica to write.
    folder
        Folder of the snapshots.
    interval_s
        Seconds from the end of one snapshot to the start of the next; 0: only those asked for.
    asked_for
        Is set when a snapshot is to be written, due or not; cleared when it begins.
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self,
        replica: Replica,
        folder: Path,
        interval_s: float,
        asked_for: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replica = replica
        self._folder = folder
        self._interval_s = interval_s
        self._clock = clock
        self._due = clock() + interval_s
        self._asked_for = asked_for
        self._written: dict[tuple[str, int], int] = {}
        metrics.SNAPSHOT_INTERVAL.set(interval_s)

    def __call__(self) -> None:
        """Write a snapshot if one is asked for, or is due and anything was applied since."""
        asked_for = self._asked_for.is_set()
        if not asked_for and (not self._interval_s or self._clock() < self._due):
            return
        if asked_for or self._replica.positions != self._written:
            self._asked_for.clear()
            self._write()
        else:
            metrics.SNAPSHOT_TIME.set_to_current_time()
        self._due = self._clock() + self._interval_s

    def _write(self) -> None:
        started = self._clock()
        try:
            snapshot.write(self._replica, self._folder)
        except Exception:
            # Whatever it is, it must not stop the reading of the log.
            log.exception("cannot write a snapshot into %s; trying again later", self._folder)
            metrics.SNAPSHOTS_FAILED.inc()
            return
        self._written = dict(self._replica.positions)
        taken_s = self._clock() - started
        metrics.SNAPSHOT_DURATION.set(taken_s)
        log.info("reading the log paused for %.2f s", taken_s)
