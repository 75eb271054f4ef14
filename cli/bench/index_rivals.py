"""Indexes to compare with ours: exact, LSH, and FAISS and USearch where they are installed.

Each finds the rows with the largest cosine, on one thread. FAISS and USearch are no requirements of
ours: `pip install faiss-cpu usearch` where you want to see them in the table.
"""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.vectors.index import VectorIndex, products
from online_models.vectors.main_index import BREADTH, BUILD_BREADTH, LINKS
from online_models.vectors.two_towers import DIMENSIONS

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]

TABLES, BITS = 12, 10
"""Hash tables of the LSH, and hyperplanes of each."""

PROBES = 4
"""Buckets that a query reads in each table: its own, and those across the nearest hyperplanes."""


class Index(Protocol):
    """An index of unit vectors by row, with room for `rows` of them."""

    name: str

    def __init__(self, rows: int) -> None: ...

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """Index the vectors (n, 64) of rows (n,)."""

    def put(self, row: int, vector: Matrix) -> None:
        """Find a new row, or one that has moved, by this vector from now on."""

    def query(self, vector: Matrix, k: int) -> Rows:
        """Return the ``k`` rows nearest to a vector, best first."""


class Ours:
    """An immutable HNSW graph, with a delta that is searched exhaustively."""

    name = "HNSW with a delta (ours)"

    def __init__(self, rows: int) -> None:
        self._index = VectorIndex(rows)

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """See `Index`."""
        self._index.load(rows, vectors)
        self._index.rebuild()

    def put(self, row: int, vector: Matrix) -> None:
        """See `Index`."""
        self._index.put(row, vector)

    def query(self, vector: Matrix, k: int) -> Rows:
        """See `Index`."""
        return self._index.query(vector, k)[0]


class Exact:
    """All products, by numpy."""

    name = "exact (numpy)"

    def __init__(self, rows: int) -> None:
        self._vectors = np.zeros((rows, DIMENSIONS), np.float32)

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """See `Index`."""
        self._vectors[rows] = vectors

    def put(self, row: int, vector: Matrix) -> None:
        """See `Index`."""
        self._vectors[row] = vector

    def query(self, vector: Matrix, k: int) -> Rows:
        """See `Index`."""
        scores = self._vectors @ vector
        best = np.argpartition(-scores, k)[:k]
        return best[np.argsort(-scores[best], kind="stable")]


class Lsh:
    """Locality-sensitive hashing by random hyperplanes (Charikar, STOC 2002), several probes."""

    name = "LSH (hyperplanes)"

    def __init__(self, rows: int) -> None:
        self._vectors = np.zeros((rows, DIMENSIONS), np.float32)
        planes = np.random.default_rng(0).standard_normal((TABLES * BITS, DIMENSIONS), np.float32)
        self._planes = planes
        self._powers = 1 << np.arange(BITS)
        self._buckets: list[dict[int, set[int]]] = [defaultdict(set) for _ in range(TABLES)]
        self._codes = np.full((rows, TABLES), -1, np.int32)

    def _hashed(self, vectors: Matrix) -> tuple[NDArray[np.int64], Matrix]:
        """Return codes (n, TABLES), and how far the vectors are from each plane."""
        sides = (vectors @ self._planes.T).reshape(len(vectors), TABLES, BITS)
        return (sides > 0) @ self._powers, sides

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """See `Index`."""
        self._vectors[rows] = vectors
        codes, _ = self._hashed(vectors)
        self._codes[rows] = codes
        for table in range(TABLES):
            buckets = self._buckets[table]
            for row, code in zip(rows.tolist(), codes[:, table].tolist(), strict=True):
                buckets[code].add(row)

    def put(self, row: int, vector: Matrix) -> None:
        """See `Index`."""
        codes, _ = self._hashed(vector[None])
        self._vectors[row] = vector
        for table in range(TABLES):
            old, new = int(self._codes[row, table]), int(codes[0, table])
            self._buckets[table][old].discard(row)
            self._buckets[table][new].add(row)
        self._codes[row] = codes[0]

    def query(self, vector: Matrix, k: int) -> Rows:
        """See `Index`."""
        codes, sides = self._hashed(vector[None])
        nearest = np.argsort(np.abs(sides[0]), axis=1)[:, : PROBES - 1]
        found: set[int] = set()
        for table in range(TABLES):
            code, buckets = int(codes[0, table]), self._buckets[table]
            found |= buckets[code]
            for bit in nearest[table].tolist():
                found |= buckets[code ^ 1 << bit]
        rows = np.fromiter(found, np.int64, len(found))
        scores = np.empty(len(rows), np.float32)
        products(self._vectors, rows, vector, scores)
        nearest_rows: NDArray[np.int64] = rows[np.argsort(-scores, kind="stable")[:k]]
        return nearest_rows


class Faiss:
    """HNSW of FAISS. Its graph lets no vector go: what has moved is found once it is built anew."""

    name = "HNSW (FAISS)"

    def __init__(self, rows: int) -> None:
        self._faiss: Any = import_module("faiss")
        self._faiss.omp_set_num_threads(1)
        self._vectors = np.zeros((rows, DIMENSIONS), np.float32)
        self._rows: list[int] = []

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """See `Index`."""
        self._vectors[rows] = vectors
        self._rows = rows.tolist()
        graph = self._faiss.IndexHNSWFlat(DIMENSIONS, LINKS, self._faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = BUILD_BREADTH, BREADTH
        graph.add(vectors)
        self._graph = graph

    def put(self, row: int, vector: Matrix) -> None:
        """See `Index`."""
        moved = self._vectors[row].any()
        self._vectors[row] = vector
        if moved:
            rows = np.array(self._rows, np.int64)
            self.build(rows, self._vectors[rows])
        else:
            self._rows.append(row)
            self._graph.add(vector[None])

    def query(self, vector: Matrix, k: int) -> Rows:
        """See `Index`."""
        _, places = self._graph.search(vector[None], k)
        return np.array([self._rows[place] for place in places[0].tolist() if place >= 0], np.int64)


class USearch:
    """HNSW of USearch; what has moved is taken out and put in again."""

    name = "HNSW (USearch)"

    def __init__(self, rows: int) -> None:
        index: Any = import_module("usearch.index")
        self._index = index.Index(
            ndim=DIMENSIONS,
            metric="cos",
            dtype="f32",
            connectivity=LINKS,
            expansion_add=BUILD_BREADTH,
            expansion_search=BREADTH,
        )
        del rows

    def build(self, rows: Rows, vectors: Matrix) -> None:
        """See `Index`."""
        self._index.add(rows, vectors, threads=1)

    def put(self, row: int, vector: Matrix) -> None:
        """See `Index`."""
        if row in self._index:
            self._index.remove(row)
        self._index.add(row, vector, threads=1)

    def query(self, vector: Matrix, k: int) -> Rows:
        """See `Index`."""
        return np.asarray(self._index.search(vector, k, threads=1).keys, np.int64)


INDEXES: tuple[type[Index], ...] = (Ours, Exact, Lsh, Faiss, USearch)
"""In the order of the table."""
