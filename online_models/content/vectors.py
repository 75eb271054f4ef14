r"""The content vectors of all items: projected at once, refitted in the background, searched.

    put, remove --> terms by row --> vectors of the current basis --> index
                         \--> fit --> another basis, vectors, index --> swap

A basis, the vectors that it gives and their index belong together and are replaced together
(`Generation`). What changes while another generation is made is noted, and put into it before it
takes over. Nothing here is in a snapshot: all of it follows from the catalogue's entries, which
are, and is made again at a start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import MAX_EMBEDDING
from online_models.content.basis import MORE, Basis, Corpus, Matrix, fit
from online_models.content.terms import ITEM_TERMS, TERMS, Counted, Embedding
from online_models.vectors.index import REBUILD_AT, VectorIndex
from online_models.vectors.two_towers import DIMENSIONS

FITTED_ITEMS, FITTED_EMBEDDINGS = 32_768, 8_192
"""The most items that a basis is fitted on, and where there are embeddings."""

EXACT_ITEMS = 16_384
"""Up to so many items, all are compared: exact, and not slower than the graph (0.2 ms)."""

PROJECTED_AT_ONCE = 1_024
"""Items that are projected in one piece: a few milliseconds, mostly without the GIL."""

CHANGED_SHARE, CHANGED_LEAST = 0.1, 32
"""A refit is due once so many of the items, or so many, have changed since the last one."""

ROW_BYTES = ITEM_TERMS * 5 + 2
"""Of an item, beside its vector and the index, of which there are two while another one is made."""

FIT_BYTES = (
    2 * (TERMS + MAX_EMBEDDING) * (DIMENSIONS + MORE) * 4
    + FITTED_ITEMS * (DIMENSIONS + MORE + 2 * ITEM_TERMS) * 4
)
"""The most that a fit takes while it lasts."""

OLD_S = 3_600.0
"""A refit is due after so long if anything has changed at all."""

NOTHING = np.zeros(0, np.int64), np.zeros(0, np.float32)

Embeddings = Callable[[int], Embedding | None]
"""Returns a row's embedding of unit length, as `terms.unit` makes it; for any thread."""


@dataclass(frozen=True)
class Generation:
    """A basis, the index of the vectors that it gives, and when it was fitted."""

    basis: Basis
    index: VectorIndex
    fitted_s: float

    def near(self, row: int, k: int) -> tuple[NDArray[np.int64], Matrix]:
        """Return up to ``k`` other rows by their cosine with a row's vector, and the cosines.

        Rows with equal cosines are in their order.
        """
        if not self.index.has(row):
            return NOTHING
        vector = self.index.vector(row)
        if len(self.index) <= EXACT_ITEMS or not self.index.built:
            rows, cosines = self.index.exact_with_products(vector, k + 1)
        else:
            rows, cosines = self.index.query(vector, k + 1)
        others = rows != row
        return rows[others][:k], cosines[others][:k]


class ContentVectors:
    """Knows what items are, by row.

    One thread at a time changes it or searches it: `put`, `remove`, `near`, `begin`, `take_over`.
    `make` may run on another one meanwhile.

    Parameters
    ----------
    rows
        The most rows, and row 0.
    clock
        Returns monotonic seconds.
    embeddings
        Returns the embeddings of rows that have one: they are read again for each basis, not kept.
    seed
        Of the fit.
    """

    def __init__(
        self,
        rows: int,
        clock: Callable[[], float],
        embeddings: Embeddings = lambda row: None,
        seed: int = 0,
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._embeddings = embeddings
        self._seed = seed
        self._terms = np.zeros((rows, ITEM_TERMS), np.int32)
        self._counts = np.zeros((rows, ITEM_TERMS), np.uint8)
        self._embedded = np.zeros(rows, np.bool_)
        self._known = np.zeros(rows, np.bool_)
        """Rows that have content."""
        self.n_known = 0
        self.n_vectors = 0
        """Items with content; with a vector."""
        self.generation: Generation | None = None
        self._changes = 0
        self._changed_since_begin: set[int] | None = None

    @property
    def listable(self) -> bool:
        """Whether a search takes less than a millisecond: over few vectors, or a graph."""
        if self.generation is None:
            return False
        index = self.generation.index
        return len(index) <= EXACT_ITEMS or index.built

    def put(self, row: int, item: Counted) -> bool:
        """Set what an item is; its vector is that of the current basis. False if it was so."""
        known = bool(item.terms[0]) or item.embedding is not None
        same = (
            known
            and self._known[row]
            and not self._embedded[row]
            and item.embedding is None
            and np.array_equal(self._terms[row], item.terms)
            and np.array_equal(self._counts[row], item.counts)
        )
        if same:
            return False
        self._terms[row] = item.terms
        self._counts[row] = item.counts
        self._embedded[row] = item.embedding is not None
        self._set_known(row, known)
        self._project(row, item.embedding)
        return True

    def remove(self, row: int) -> None:
        """Forget what an item is."""
        if not self._known[row]:
            return
        self._terms[row] = 0
        self._embedded[row] = False
        self._set_known(row, False)
        if self.generation is not None:
            self._set_vector(self.generation.index, row, None)

    def _set_known(self, row: int, known: bool) -> None:
        self.n_known += known - bool(self._known[row])
        self._known[row] = known
        self._changes += 1
        if self._changed_since_begin is not None:
            self._changed_since_begin.add(row)

    def _project(self, row: int, embedding: Embedding | None) -> None:
        if self.generation is None:
            return
        corpus = self._corpus(np.array([row]), self.generation.basis.width, lambda _: embedding)
        self._set_vector(self.generation.index, row, self.generation.basis.project(corpus)[0])

    def _set_vector(self, index: VectorIndex, row: int, vector: Matrix | None) -> None:
        self.n_vectors -= index.has(row)
        if vector is None or not vector.any():
            index.remove(row)
        else:
            index.put(row, vector)
            self.n_vectors += 1

    # ---- searching

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the items that have content."""
        return np.flatnonzero(self._known)

    def knows(self, row: int) -> bool:
        """Whether an item has content."""
        return bool(self._known[row])

    def has(self, row: int) -> bool:
        """Whether an item has a vector."""
        return self.generation is not None and self.generation.index.has(row)

    def near(self, row: int, k: int) -> tuple[NDArray[np.int64], Matrix]:
        """Return up to ``k`` other rows that are like a row; see `Generation.near`."""
        return NOTHING if self.generation is None else self.generation.near(row, k)

    def cosines(self, row: int, rows: NDArray[np.int64]) -> Matrix:
        """Return the cosines (n,) of rows (n,) with a row; 0 for those without a vector."""
        if self.generation is None:
            return np.zeros(len(rows), np.float32)
        return self.generation.index.cosines(row, rows)

    # ---- another basis

    @property
    def due(self) -> bool:
        """Whether enough has changed for another basis, and none is being made."""
        if self._changed_since_begin is not None or not self._changes:
            return False
        if self.generation is None:
            return True
        enough = max(CHANGED_LEAST, CHANGED_SHARE * self.generation.basis.items)
        old = self._clock() - self.generation.fitted_s > OLD_S
        return old or self._changes >= enough or self.generation.index.delta_size >= REBUILD_AT

    def begin(self) -> None:
        """Note what changes from now on; `make` comes next."""
        self._changed_since_begin = set()
        self._changes = 0

    def make(self) -> Generation:
        """Return another generation of all items that are known; takes seconds."""
        rows = np.flatnonzero(self._known.copy())
        width = self._width(rows)
        most = FITTED_EMBEDDINGS if width else FITTED_ITEMS
        sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
        basis = fit(self._corpus(sample, width, self._embeddings), self._seed)
        index = VectorIndex(self._rows)
        for start in range(0, len(rows), PROJECTED_AT_ONCE):
            part = rows[start : start + PROJECTED_AT_ONCE]
            index.load(part, basis.project(self._corpus(part, width, self._embeddings)))
        if len(index) > EXACT_ITEMS:
            index.rebuild()
        return Generation(basis, index, self._clock())

    def _width(self, rows: NDArray[np.int64]) -> int:
        """Return the width of most embeddings, among some; 0 if there are none."""
        embedded = rows[self._embedded[rows]]
        some = embedded[np.linspace(0, len(embedded) - 1, min(len(embedded), 64)).astype(np.int64)]
        widths = [len(e) for row in some.tolist() if (e := self._embeddings(row)) is not None]
        return int(np.bincount(widths).argmax()) if widths else 0

    def _corpus(self, rows: NDArray[np.int64], width: int, embeddings: Embeddings) -> Corpus:
        matrix = np.zeros((len(rows), width), np.float32)
        if width:
            for place in np.flatnonzero(self._embedded[rows]).tolist():
                embedding = embeddings(int(rows[place]))
                if embedding is not None and len(embedding) == width:
                    matrix[place] = embedding
        return Corpus(self._terms[rows], self._counts[rows], matrix)

    def take_over(self, made: Generation, at_most: int | None = None) -> bool:
        """Put what has changed since `begin` into a generation; once all is, it is in use.

        Returns whether it is in use; call again otherwise. ``at_most`` limits the changes of one
        call.
        """
        changed = self._changed_since_begin or set()
        for _ in range(len(changed) if at_most is None else min(at_most, len(changed))):
            row = changed.pop()
            corpus = self._corpus(np.array([row]), made.basis.width, self._embeddings)
            vector = made.basis.project(corpus)[0]
            if self._known[row] and vector.any():
                made.index.put(row, vector)
            else:
                made.index.remove(row)
        if changed:
            return False
        self._changed_since_begin = None
        self.generation = made
        self.n_vectors = len(made.index)
        return True

    def give_up(self) -> None:
        """Forget a generation that could not be made; the next is due."""
        self._changed_since_begin = None
        self._changes += 1

    def refit(self) -> None:
        """Make another generation on this thread."""
        self.begin()
        self.take_over(self.make())
