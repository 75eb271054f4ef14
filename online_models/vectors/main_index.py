"""A graph of the vectors at one point in time, and what has changed since: stale rows, a delta."""

from __future__ import annotations

from collections import OrderedDict

import hnswlib
import numpy as np
from numpy.typing import NDArray

from online_models.vectors.two_towers import DIMENSIONS

Vector = NDArray[np.float32]

DELTA = 4_096
"""Rows that the delta holds."""

TURNED = 0.005
"""A vector keeps its place in the graph while its cosine with the vector there is within this of 1
(6 degrees)."""

LINKS, BUILD_BREADTH, BREADTH = 16, 120, 100
"""HNSW's M, ef_construction and ef."""


class MainIndex:
    """An immutable graph, marks of its stale rows, and a delta of the rows to be found elsewhere.

    Every operation takes constant time, however much has changed, except `recent`, which copies the
    delta.

    Parameters
    ----------
    size
        The most rows.
    rows
        Rows of the graph, (n,).
    vectors
        Their unit vectors, (n, 64), which are kept.
    """

    def __init__(self, size: int, rows: NDArray[np.int64], vectors: Vector) -> None:
        self.graph: hnswlib.Index | None = None
        """None if there are no vectors."""
        self._vectors = vectors
        self._place = np.full(size, -1, np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)
        self.stale = self._place < 0
        """Rows, (size,) bool, that are not to be found by the graph."""
        self._moved: OrderedDict[int, None] = OrderedDict()
        self._new: OrderedDict[int, None] = OrderedDict()
        self._changes = 0
        self._recent = 0, np.zeros(0, np.int64)
        """The number of changes when the delta was copied, and the copy."""
        if len(rows):
            graph = hnswlib.Index("cosine", DIMENSIONS)
            graph.init_index(len(rows), M=LINKS, ef_construction=BUILD_BREADTH)
            graph.add_items(vectors, rows, num_threads=1)
            graph.set_ef(BREADTH)
            self.graph = graph

    def nearest(self, vector: Vector, k: int) -> NDArray[np.int64]:
        """Return up to ``k`` rows of the graph that are nearest to a vector; some may be stale.

        Fewer where not so many are linked: those with the same vector link to each other alone.
        """
        if self.graph is None:
            return np.zeros(0, np.int64)
        k = min(k, self.graph.get_current_count())
        while k:
            try:
                labels, _ = self.graph.knn_query(vector, k, num_threads=1)
            except RuntimeError:  # hnswlib cannot return fewer
                k //= 2
            else:
                return np.asarray(labels[0], np.int64)
        return np.zeros(0, np.int64)

    @property
    def delta_size(self) -> int:
        """Rows in the delta."""
        return len(self._moved) + len(self._new)

    def put(self, row: int, vector: Vector) -> None:
        """Find a row by its unit vector: where the graph has it if that is near, or by the delta.

        If the delta is full, its oldest row that the graph has makes room and is found there again;
        if there is none, the oldest, which is found from the next build on.
        """
        if row in self._moved or row in self._new:
            return
        place = self._place[row]
        if place >= 0 and not self.stale[row]:
            if float(np.dot(self._vectors[place], vector)) >= 1 - TURNED:
                return
            self.stale[row] = True
        if self.delta_size >= DELTA:
            self._make_room()
        (self._new if place < 0 else self._moved)[row] = None
        self._changes += 1

    def _make_room(self) -> None:
        if self._moved:
            row, _ = self._moved.popitem(last=False)
            self.stale[row] = False
        else:
            self._new.popitem(last=False)

    def remove(self, row: int) -> None:
        """Find a row no longer."""
        self.stale[row] = True
        if self._moved.pop(row, 0) is None or self._new.pop(row, 0) is None:
            self._changes += 1

    def recent(self) -> NDArray[np.int64]:
        """Return the rows of the delta, (n,)."""
        changes = self._changes
        of, rows = self._recent
        if of != changes:
            rows = np.array([*self._moved, *self._new], np.int64)
            self._recent = changes, rows
        return rows
