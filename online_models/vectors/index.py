"""Nearest items by cosine: an immutable HNSW main index, a flat delta, and marks of stale rows.

The main index (Malkov & Yashunin, TPAMI 2020) never changes: it is built from all vectors at one
point in time and swapped in as a whole, because in-place updates are slow and degrade its graph.
Vectors that have changed since are in a small delta, which every query scans. Lengths are ignored:
they grow with popularity, and the index is meant for items that nobody has clicked yet.

Results are scored with the current vectors, so a row whose vector has turned a little may keep its
place in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import hnswlib
import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.vectors.two_towers import DIMENSIONS

Vector = NDArray[np.float32]

DELTA = 4_096
"""Rows that the delta holds; a rebuild is due once it has `REBUILD_AT`."""

REBUILD_AT = 1_024
TURNED = 0.005
"""A vector keeps its place in the graph while its cosine with the vector there is within this of 1
(6 degrees)."""

LINKS, BUILD_BREADTH, BREADTH = 16, 120, 100
"""HNSW's M, ef_construction and ef."""

SPARE = 1.3
"""The main index is asked for this many times the rows wanted: some of them are stale."""


COPIED_ROWS = 4_096
"""Rows that a build copies at once, to hold the GIL only briefly."""


@dataclass(slots=True)
class Main:
    """An immutable index, the unit vectors (n, 64) it was built from, and their place by row."""

    graph: hnswlib.Index | None
    vectors: Vector
    place: NDArray[np.int32]


@njit(cache=True, fastmath=True, nogil=True)
def products(vectors: Vector, rows: NDArray[np.int64], query: Vector, out: Vector) -> None:
    """Set ``out`` to the dot products of the rows' vectors with a query."""
    for i in range(len(rows)):
        e = vectors[rows[i]]
        x = np.float32(0)
        for d in range(DIMENSIONS):
            x += e[d] * query[d]
        out[i] = x


class VectorIndex:
    """Finds the rows whose vectors have the largest cosine with a query.

    One thread changes it (`put`, `remove`, `swap`). `build` and `query` may run on other threads at
    the same time; a query may then miss what is changing.

    Parameters
    ----------
    rows
        The most rows: 262 bytes each, and some 440 more for each row in the main index.
    """

    def __init__(self, rows: int) -> None:
        self._vectors = np.zeros((rows, DIMENSIONS), np.float32)
        self._alive = np.zeros(rows, np.bool_)
        self._stale = np.zeros(rows, np.bool_)
        nothing = np.zeros((0, DIMENSIONS), np.float32)
        self._main = Main(None, nothing, np.full(rows, -1, np.int32))
        self._delta: dict[int, None] = {}
        self._changes = 0
        self._rows = 0, np.zeros(0, np.int64)
        """The delta's rows as an array, and the number of changes when it was made."""
        self._changed_since_build: set[int] | None = None

    def __len__(self) -> int:
        return int(self._alive.sum())

    @property
    def delta_size(self) -> int:
        """Rows in the delta."""
        return len(self._delta)

    @property
    def due(self) -> bool:
        """Whether a rebuild is due and none is running."""
        if self._changed_since_build is not None:
            return False
        unbuilt = self._main.graph is None and len(self) > len(self._delta)
        return unbuilt or len(self._delta) >= REBUILD_AT

    def load(self, rows: NDArray[np.int64], vectors: Vector) -> None:
        """Set the vectors of many rows at once; they are found from the next rebuild on."""
        lengths = np.linalg.norm(vectors, axis=1)
        rows, vectors = rows[lengths > 0], vectors[lengths > 0]
        self._vectors[rows] = vectors / lengths[lengths > 0, None]
        self._alive[rows] = True
        self._stale[rows] = True

    def put(self, row: int, vector: Vector) -> None:
        """Set a row's vector, (64,); a vector without a direction removes the row."""
        length = float(np.sqrt(np.dot(vector, vector)))
        if not 0 < length < np.inf:
            self.remove(row)
            return
        self._vectors[row] = vector / length
        self._alive[row] = True
        self._place(row)

    def _place(self, row: int) -> None:
        """Put a row into the delta, unless it may keep its place in the graph."""
        if self._changed_since_build is not None:
            self._changed_since_build.add(row)
        if row in self._delta or (self._main.place[row] >= 0 and not self._far(row)):
            return
        if len(self._delta) >= DELTA:
            self._make_room()
        self._stale[row] = True
        self._delta[row] = None
        self._changes += 1

    def _far(self, row: int) -> bool:
        """Whether a row has turned too far from its vector in the main index."""
        old = self._main.vectors[self._main.place[row]]
        cosine = float(np.dot(old, self._vectors[row]))
        return bool(self._stale[row]) or cosine < 1 - TURNED

    def _make_room(self) -> None:
        """Drop the delta's oldest row that the main index has; if there is none, the oldest."""
        row = next((r for r in self._delta if self._main.place[r] >= 0), next(iter(self._delta)))
        del self._delta[row]
        self._stale[row] = self._main.place[row] < 0

    def remove(self, row: int) -> None:
        """Remove a row; queries no longer return it."""
        self._alive[row] = False
        self._stale[row] = True
        if self._delta.pop(row, 0) is None:
            self._changes += 1

    def query(self, vector: Vector, k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return up to ``k`` rows with the largest cosine, best first, and the cosines."""
        changes = self._changes
        of, recent = self._rows
        if of != changes:
            recent = np.array(list(self._delta), np.int64)
            self._rows = changes, recent
        graph = self._main.graph
        parts = [recent]
        if graph is not None:
            found = min(int(k * SPARE) + 8, graph.get_current_count())
            labels, _ = graph.knn_query(vector, found, num_threads=1)
            rows = labels[0].astype(np.int64)
            parts.append(rows[~self._stale[rows]])
        rows = np.concatenate(parts)
        scores = np.empty(len(rows), np.float32)
        length = np.sqrt(np.dot(vector, vector)) + np.float32(1e-12)
        products(self._vectors, rows, np.asarray(vector / length, np.float32), scores)
        if len(rows) > k:
            best = np.argpartition(scores, len(rows) - k)[-k:]
            rows, scores = rows[best], scores[best]
        order = np.argsort(-scores, kind="stable")
        return rows[order], scores[order]

    def exact(self, vector: Vector, k: int) -> NDArray[np.int64]:
        """Return the rows with the largest cosine, by exhaustive search."""
        rows = self._alive_rows()
        scores = self._vectors[rows] @ vector
        return rows[np.argsort(-scores, kind="stable")[:k]]

    def _alive_rows(self) -> NDArray[np.int64]:
        """Return the rows that have a vector, read from a copy.

        numpy counts the rows before it writes them, without the GIL: a row that is added in between
        would be written beyond the end.
        """
        return np.flatnonzero(self._alive.copy())

    def recall(self, queries: Vector, k: int) -> float:
        """Return the share of the true ``k`` nearest rows that `query` finds, over all queries."""
        found = [
            len(np.intersect1d(self.query(q, k)[0], true)) / max(len(true), 1)
            for q in queries
            for true in (self.exact(q, k),)
        ]
        return float(np.mean(found)) if found else 1.0

    # ---- rebuilding: `swap` on the thread that changes the index, the rest on any

    def build(self) -> Main:
        """Return a main index of all current rows; takes seconds, mostly in C++.

        Rows that change meanwhile are noted for `swap`.
        """
        self._changed_since_build = set()
        rows = self._alive_rows()
        vectors = np.empty((len(rows), DIMENSIONS), np.float32)
        for start in range(0, len(rows), COPIED_ROWS):
            part = slice(start, start + COPIED_ROWS)
            vectors[part] = self._vectors[rows[part]]
        place = np.full(len(self._vectors), -1, np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        if len(rows) == 0:
            return Main(None, vectors, place)
        graph = hnswlib.Index("cosine", DIMENSIONS)
        graph.init_index(len(rows), M=LINKS, ef_construction=BUILD_BREADTH)
        graph.add_items(vectors, rows, num_threads=1)
        graph.set_ef(BREADTH)
        return Main(graph, vectors, place)

    def swap(self, main: Main) -> None:
        """Swap in a new index; the delta keeps rows that have changed since `build` began."""
        changed, self._changed_since_build = self._changed_since_build or set(), None
        self._main = main
        self._stale[:] = ~self._alive | (main.place < 0)
        self._delta.clear()
        self._changes += 1
        for row in changed:
            if self._alive[row]:
                self._place(row)

    def rebuild(self) -> None:
        """Build and swap on this thread."""
        self.swap(self.build())
