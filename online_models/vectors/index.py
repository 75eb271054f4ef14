"""Nearest items by cosine: an immutable HNSW main index, a flat delta, and marks of stale rows.

The main index (Malkov & Yashunin, TPAMI 2020) never changes: it is built from all vectors at one
point in time and swapped in as a whole, because in-place updates are slow and degrade its graph.
Vectors that have changed since are in a small delta, which every query scans. Lengths are ignored:
they grow with popularity, and the index is meant for items that nobody has clicked yet.

Results are scored with the current vectors, so a row whose vector has turned a little may keep its
place in the graph.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.vectors.main_index import MainIndex, Vector
from online_models.vectors.two_towers import DIMENSIONS

REBUILD_AT = 1_024
"""Rows in the delta from which a rebuild is due."""

SPARE = 1.3
"""The main index is asked for this many times the rows wanted: some of them are stale."""


COPIED_ROWS = 4_096
"""Rows that a build copies at once, to hold the GIL only briefly."""


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

    One thread at a time changes it (`put`, `remove`, `swap`). `build` and `query` may run on other
    threads meanwhile; a query may then miss what is changing.

    Parameters
    ----------
    rows
        The most rows: 262 bytes each, and some 440 more for each row in the main index.
    """

    def __init__(self, rows: int) -> None:
        self._vectors = np.zeros((rows, DIMENSIONS), np.float32)
        self._alive = np.zeros(rows, np.bool_)
        self._main = MainIndex(rows, np.zeros(0, np.int64), self._vectors[:0])
        self._changed_since_build: set[int] | None = None

    def __len__(self) -> int:
        return int(self._alive.sum())

    @property
    def delta_size(self) -> int:
        """Rows in the delta."""
        return self._main.delta_size

    @property
    def due(self) -> bool:
        """Whether a rebuild is due and none is running."""
        if self._changed_since_build is not None:
            return False
        unbuilt = self._main.graph is None and len(self) > self.delta_size
        return unbuilt or self.delta_size >= REBUILD_AT

    @property
    def built(self) -> bool:
        """Whether there is a graph."""
        return self._main.graph is not None

    def has(self, row: int) -> bool:
        """Whether a row has a vector."""
        return bool(self._alive[row])

    def vector(self, row: int) -> Vector:
        """Return a row's vector at unit length, (64,); not to be changed."""
        return self._vectors[row]

    def cosines(self, row: int, rows: NDArray[np.int64]) -> Vector:
        """Return the cosines (n,) of rows (n,) with a row; 0 where one has no vector."""
        out = np.zeros(len(rows), np.float32)
        if self.has(row):
            products(self._vectors, rows, self._vectors[row], out)
            out[~self._alive[rows]] = 0
        return out

    def load(self, rows: NDArray[np.int64], vectors: Vector) -> None:
        """Set the vectors of many rows at once; they are found from the next rebuild on."""
        lengths = np.linalg.norm(vectors, axis=1)
        rows, vectors = rows[lengths > 0], vectors[lengths > 0]
        self._vectors[rows] = vectors / lengths[lengths > 0, None]
        self._alive[rows] = True

    def put(self, row: int, vector: Vector) -> None:
        """Set a row's vector, (64,); a vector without a direction removes the row."""
        length = float(np.sqrt(np.dot(vector, vector)))
        if not 0 < length < np.inf:
            self.remove(row)
            return
        self._vectors[row] = vector / length
        self._alive[row] = True
        self._main.put(row, self._vectors[row])
        self._note(row)

    def remove(self, row: int) -> None:
        """Remove a row; queries no longer return it."""
        self._alive[row] = False
        self._main.remove(row)
        self._note(row)

    def _note(self, row: int) -> None:
        """Note that a row has changed, if a build is running."""
        changed = self._changed_since_build
        if changed is not None:
            changed.add(row)

    def query(self, vector: Vector, k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return up to ``k`` rows with the largest cosine, best first, and the cosines."""
        main = self._main
        found = main.nearest(vector, int(k * SPARE) + 8)
        rows = np.concatenate([main.recent(), found[~main.stale[found]]])
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
        return self.exact_with_products(vector, k)[0]

    def exact_with_products(self, vector: Vector, k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return the rows of `exact`, and their products with ``vector``; equal ones by row."""
        rows = self._alive_rows()
        scores = np.empty(len(rows), np.float32)
        # In parts, without a copy of all vectors: freeing 64 MB takes milliseconds with the GIL.
        for start in range(0, len(rows), COPIED_ROWS):
            part = slice(start, start + COPIED_ROWS)
            products(self._vectors, rows[part], vector, scores[part])
        if len(rows) > k:  # to sort 16,384 of them takes a millisecond
            kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            rows, scores = rows[kept], scores[kept]
        order = np.argsort(-scores, kind="stable")[:k]
        return rows[order], scores[order]

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

    # ---- rebuilding: `swap` and `give_up` beside no change of the index, `build` on any thread

    def build(self) -> MainIndex:
        """Return a main index of all current rows; takes seconds, mostly in C++.

        Rows that change meanwhile are noted for `swap`.
        """
        self._changed_since_build = set()
        rows = self._alive_rows()
        vectors = np.empty((len(rows), DIMENSIONS), np.float32)
        for start in range(0, len(rows), COPIED_ROWS):
            part = slice(start, start + COPIED_ROWS)
            vectors[part] = self._vectors[rows[part]]
        return MainIndex(len(self._vectors), rows, vectors)

    def swap(self, main: MainIndex, at_most: int | None = None) -> MainIndex | None:
        """Take over changes made since `build` began; swap ``main`` in once none is left.

        Parameters
        ----------
        main
            What `build` returned.
        at_most
            The most changes to take over in this call; None: all.

        Returns
        -------
        MainIndex or None
            Once ``main`` is in use, the index before it; to free that takes milliseconds, so keep
            it until others need not wait. None if ``main`` is not in use yet: call again.
        """
        changed = self._changed_since_build or set()
        for _ in range(len(changed) if at_most is None else min(at_most, len(changed))):
            row = changed.pop()
            if self._alive[row]:
                main.put(row, self._vectors[row])
            else:
                main.remove(row)
        if changed:
            return None
        self._changed_since_build = None
        before, self._main = self._main, main
        return before

    def give_up(self) -> None:
        """Forget a build that has failed: the next one is `due` as if it had not begun."""
        self._changed_since_build = None

    def rebuild(self) -> None:
        """Build and swap on this thread."""
        self.swap(self.build())
