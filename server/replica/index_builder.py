"""Keeps the vector index up to date in the background: near lists, rebuilds, recall."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from online_models.vectors.index import VectorIndex
from server import metrics
from server.priority import give_way
from server.replica.replica import Replica

log = logging.getLogger("nextclick.index")

INDEX_CHECK_S = 0.5
LISTS_CHECK_S, LISTS = 0.1, 10
"""Pause between two rounds, and the most lists of near items made in each: a third of a millisecond
per list, 3 % of a core at most."""

NICENESS = 10
"""Of the thread that builds: it works for seconds without the GIL, and answers have priority. The
thread that makes lists takes the GIL a hundred times a second; it stays at normal priority, since
answers would wait if it were preempted while holding the GIL."""

BETWEEN_BUILDS_S, BUILDING = 20.0, 0.05
"""A build keeps a core busy for seconds, and during a bootstrap one is always due. So the pause
before the next build is at least this long, and builds take at most this share of the time."""

CHANGES = 16
"""Changes made during a build that are taken over at once: a tenth of a millisecond."""

RECALL_S, RECALL_QUERIES, RECALL_AT = 60.0, 20, 50


class IndexBuilder:
    """Two threads, so that lists of near items need not wait for a build.

    `start` it once, after `Engine.begin_index`.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._stop = threading.Event()
        self._next_build = self._measured = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=work, name=work[0], daemon=True)
            for work in (
                ("index", self.maintain_index, INDEX_CHECK_S, NICENESS),
                ("nearest", self.make_lists, LISTS_CHECK_S, 0),
            )
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the current build."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(60)

    def _run(self, name: str, work: Callable[[float], None], pause_s: float, niceness: int) -> None:
        if niceness:
            give_way(niceness)
        while not self._stop.wait(pause_s):
            try:
                work(time.monotonic())
            except Exception:
                log.exception("%s failed; retrying later", name)
                self._stop.wait(BETWEEN_BUILDS_S)

    def make_lists(self, _: float) -> None:
        """Make the lists of near items that answers have requested."""
        nearest = self._replica.engine.nearest
        assert nearest is not None
        nearest.make(LISTS)

    def maintain_index(self, now: float) -> None:
        """Rebuild the index if it is due, and measure its recall from time to time."""
        index = self._replica.engine.index
        assert index is not None
        metrics.INDEX_DELTA.set(index.delta_size)
        if index.due and now > self._next_build:
            started = time.monotonic()
            try:
                self._rebuild(index)
            except Exception:
                index.give_up()
                metrics.INDEX_BUILDS_FAILED.inc()
                raise
            taken = time.monotonic() - started
            self._next_build = now + max(BETWEEN_BUILDS_S, taken / BUILDING)
            metrics.INDEX_BUILDS.inc()
        if now - self._measured > RECALL_S and len(index) > RECALL_AT:
            self._measured = now
            wanted = self._replica.engine.arrays["target_vectors"]
            rows = np.random.default_rng().integers(
                1, len(self._replica.engine.ids), RECALL_QUERIES
            )
            queries = wanted[rows]
            queries = queries[queries.any(axis=1)]
            if len(queries):
                metrics.INDEX_RECALL.set(index.recall(queries, RECALL_AT))

    def _rebuild(self, index: VectorIndex) -> None:
        """Build and swap; changes made meanwhile are taken over in slices, as the log is read."""
        main = index.build()
        before = None
        while before is None:
            with self._replica.slice() as until:
                while before is None and time.perf_counter() < until:
                    before = index.swap(main, CHANGES)
        # The index before is freed here, without the lock.
