"""Keeps the vector index fresh, aside: lists of near items, rebuilds, a watch on its recall."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from server import metrics
from server.priority import give_way
from server.replica.replica import Replica

log = logging.getLogger("nextclick.index")

LOOK_S = 0.5
LISTS_LOOK_S, LISTS = 0.1, 10
"""Lists of near items made at a look: a third of a millisecond each, 3 % of a core at most."""

NICENESS = 10
"""Of the thread that builds: that is seconds of work without the interpreter's lock, and answers
come first. Who makes lists holds that lock a hundred times a second, so it must not be kept from
going on."""

BETWEEN_BUILDS_S, BUILDING = 20.0, 0.05
"""A build takes a core for seconds: while everything moves, as in a bootstrap, not all the time.
The pause before the next one is so long at least, and the build takes at most such a share."""

RECALL_S, RECALL_QUERIES, RECALL_AT = 60.0, 20, 50


class IndexBuilder:
    """Two threads beside the follower's: lists of near items do not wait for a build.

    `start` it once, after `Engine.begin_index`.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._stop = threading.Event()
        self._next_build = self._measured = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=work, name=work[0], daemon=True)
            for work in (
                ("index", self.look, LOOK_S, NICENESS),
                ("nearest", self.make_lists, LISTS_LOOK_S, 0),
            )
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the build at hand."""
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
                log.exception("%s: goes on as it is", name)
                self._stop.wait(BETWEEN_BUILDS_S)

    def make_lists(self, _: float) -> None:
        """Make lists of near items that answers missed."""
        nearest = self._replica.engine.nearest
        assert nearest is not None
        nearest.make(LISTS)

    def look(self, now: float) -> None:
        """Rebuild if it is due, measure recall now and then."""
        index = self._replica.engine.index
        assert index is not None
        metrics.INDEX_DELTA.set(index.delta_size)
        if index.due and now > self._next_build:
            started = time.monotonic()
            main = index.build()
            with self._replica.slice():
                index.swap(main)
            taken = time.monotonic() - started
            self._next_build = now + max(BETWEEN_BUILDS_S, taken / BUILDING)
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
