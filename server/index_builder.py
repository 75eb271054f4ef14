"""Keeps the vector index fresh: rebuilds it aside when it is due, and watches its recall."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np

from server import metrics
from server.replica import Replica

log = logging.getLogger("nextclick.index")

LOOK_S = 0.5
BETWEEN_BUILDS_S = 20.0
"""A build takes a core for seconds: while everything moves, as in a bootstrap, not all the time."""

RECALL_S, RECALL_QUERIES, RECALL_AT = 60.0, 20, 50


class IndexBuilder:
    """One thread beside the follower's; `start` it once, after `Engine.begin_index`."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._stop = threading.Event()
        self._built = self._measured = 0.0
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End after the build at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("the vector index goes on as it is")
                self._stop.wait(BETWEEN_BUILDS_S)

    def look(self, now: float) -> None:
        """Rebuild if it is due, measure recall now and then."""
        index = self._replica.engine.index
        assert index is not None
        metrics.INDEX_DELTA.set(index.delta_size)
        if index.due and now - self._built > BETWEEN_BUILDS_S:
            main = index.build()
            with self._replica.slice():
                index.swap(main)
            self._built = now
            metrics.INDEX_BUILDS.inc()
        if now - self._measured > RECALL_S and len(index) > RECALL_AT:
            self._measured = now
            wanted = self._replica.engine.arrays["vectors_out"]
            rows = np.random.default_rng().integers(
                1, len(self._replica.engine.ids), RECALL_QUERIES
            )
            queries = wanted[rows]
            queries = queries[queries.any(axis=1)]
            if len(queries):
                metrics.INDEX_RECALL.set(index.recall(queries, RECALL_AT))
