"""Vectors and ranker that were learned elsewhere, as a replica takes them over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.memory.layout import DELETED, STEPS, Limits
from online_models.ranking import network as ranker
from online_models.ranking.learner import RankerWeights
from online_models.tables.items import ItemTable
from online_models.vectors.index import VectorIndex
from online_models.vectors.near_lists import NearestItems


class LearnedElsewhere(ItemTable):
    """An item table whose items have vectors, perhaps an index of them, and a ranker."""

    def __init__(self, limits: Limits, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__(limits, arrays)
        self.with_vectors = 0
        self.index: VectorIndex | None = None
        """Finds near items, where `begin_index` was called."""
        self.nearest: NearestItems | None = None
        """Lists of near items, for pages that the counts cannot fill."""

    def put_vectors(
        self, item_id: str, read: NDArray[np.float32], wanted: NDArray[np.float32]
    ) -> bool:
        """Take over an item's two vectors, (64,) each; False if the table is full."""
        row = self.ensure_row(item_id)
        if row == 0:
            return False
        self.with_vectors += not self.arrays["squares"][row, 0]
        self.arrays["squares"][row, 0] = 1  # marks that it has vectors
        self.arrays["vectors_in"][row] = read
        self.arrays["vectors_out"][row] = wanted
        if self.index is not None and not self.is_deleted(row):
            self.index.put(row, self.arrays["vectors_out"][row])
        return True

    def begin_index(self) -> VectorIndex:
        """Have pages that the counts cannot fill be filled with the nearest items.

        Somebody must rebuild the index when it is `due`, and have `nearest` make its lists.
        """
        self.index = VectorIndex(self.limits.max_items + 1)
        rows = 1 + np.flatnonzero(self.arrays["squares"][1 : len(self.ids), 0])
        rows = rows[self.arrays["stats"][rows]["flags"] & DELETED == 0]
        self.index.load(rows, self.arrays["vectors_out"][rows])
        self.nearest = NearestItems(self.index, self.arrays["vectors_out"])
        return self.index

    def delete_item(self, item_id: str) -> None:
        """Take an item out of all answers until the catalogue has it again."""
        super().delete_item(item_id)
        if self.index is not None and self.rows.get(item_id):
            self.index.remove(self.rows[item_id])

    def drop_vectors(self, item_id: str) -> None:
        """Forget an item's vectors."""
        row = self.rows.get(item_id, 0)
        if row and self.arrays["squares"][row, 0]:
            self.with_vectors -= 1
            for name in ("squares", "vectors_in", "vectors_out"):
                self.arrays[name][row] = 0
            if self.index is not None:
                self.index.remove(row)

    def put_ranker(self, weights: RankerWeights) -> None:
        """Take over a ranker, whole."""
        a = self.arrays
        a["ranker"][ranker.AVERAGED] = weights.network
        a["mean"][:], a["variance"][:] = weights.mean, weights.variance
        a["weights"][:] = weights.linear
        a["case_scores"][:] = weights.scores
        a["ctr"][STEPS] = weights.steps
