"""Applying vectors and ranker weights that were learned elsewhere and published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.content.new_items import NewItems
from online_models.content.terms import Counted
from online_models.content.vectors import ContentVectors, Embeddings
from online_models.memory.layout import Limits
from online_models.memory.table import Arrays
from online_models.ranking.ranker_weights import RankerWeights, put_weights
from online_models.tables.item_rows import DELETED
from online_models.tables.items import ItemTable
from online_models.vectors.index import VectorIndex
from online_models.vectors.near_lists import NearestItems


class PublishedModels(ItemTable):
    """An item table with vectors of the items, an optional index of them, and a ranker."""

    def __init__(self, limits: Limits, arrays: Arrays) -> None:
        super().__init__(limits, arrays)
        self.with_vectors = 0
        self.index: VectorIndex | None = None
        """Finds near items; None until `begin_index` is called."""
        self.nearest: NearestItems | None = None
        """Lists of near items, for pages that the counts cannot fill."""
        self.content: ContentVectors | None = None
        """What items are; None until `begin_content` is called."""
        self.new_items: NewItems | None = None
        """Puts new items on the lists of those that they are like."""

    def put_vectors(
        self, item_id: str, context: NDArray[np.float32], target: NDArray[np.float32]
    ) -> bool:
        """Set an item's two vectors, (64,) each; return False if the item has no row.

        Vectors give no item a row: the learner has rows of its own, and any clicked id gets one.
        """
        row = self.rows.get(item_id, 0)
        if row == 0:
            return False
        self.with_vectors += not self.arrays["has_vectors"][row]
        self.arrays["has_vectors"][row] = True
        self.arrays["context_vectors"][row] = context
        self.arrays["target_vectors"][row] = target
        if self.index is not None and not self.is_deleted(row):
            self.index.put(row, self.arrays["target_vectors"][row])
        return True

    def begin_index(self, clock: Callable[[], float]) -> VectorIndex:
        """Build an index, from which pages that the counts cannot fill get near items.

        The caller must rebuild it when it is `due`, and call `NearestItems.make` regularly.
        ``clock`` returns monotonic seconds.
        """
        a = self.arrays
        self.index = VectorIndex(self.limits.rows)
        learned_here = a["item_adagrad"]["squares"][:, 0] > 0
        rows = 1 + np.flatnonzero((a["has_vectors"] | learned_here)[1 : len(self.ids)])
        rows = rows[a["stats"]["flags"][rows] & DELETED == 0]
        self.index.load(rows, a["target_vectors"][rows])
        self.nearest = NearestItems(self.index, a["target_vectors"], clock)
        return self.index

    def begin_content(
        self, clock: Callable[[], float], embeddings: Embeddings = lambda row: None
    ) -> ContentVectors:
        """Keep content vectors of the items, empty ones at first.

        The caller must put in what each item is (`put_content`), make another basis when it is
        `due`, and call `NewItems.renew` and `list_next` regularly. ``clock`` returns monotonic
        seconds; ``embeddings`` the vectors that a shop has of its items.
        """
        self.content = ContentVectors(self.limits.rows, clock, embeddings)
        self.new_items = NewItems(self.content, self.arrays)
        return self.content

    def put_content(self, row: int, item: Counted) -> None:
        """Note what an item is."""
        if self.content is not None and self.new_items is not None:
            changed = self.content.put(row, item)
            if changed and self.content.knows(row):
                self.new_items.note(row)

    def delete_item(self, item_id: str) -> None:
        """See `ItemTable.delete_item`; the item disappears from the index at once."""
        super().delete_item(item_id)
        if self.index is not None and self.rows.get(item_id):
            self.index.remove(self.rows[item_id])

    def end_row(self, row: int) -> None:
        """See `ItemRows.end_row`."""
        super().end_row(row)
        self._drop_vectors(row)
        if self.index is not None:
            self.index.remove(row)
        if self.content is not None:
            self.content.remove(row)

    def have_left(self) -> None:
        """See `ItemRows.have_left`."""
        if self.nearest is not None:
            self.nearest.forget_older()

    def drop_vectors(self, item_id: str) -> None:
        """Forget an item's vectors."""
        self._drop_vectors(self.rows.get(item_id, 0))

    def _drop_vectors(self, row: int) -> None:
        if row and self.arrays["has_vectors"][row]:
            self.with_vectors -= 1
            for name in ("has_vectors", "context_vectors", "target_vectors"):
                self.arrays[name][row] = 0
            if self.index is not None:
                self.index.remove(row)

    def put_row(self, table: str, item_id: str, values: NDArray[Any] | None) -> bool:
        """Set an item's row of a table by item, to 0 for None; False if it has no row.

        For what a source or a feature reads of an item and is learned elsewhere.

        Raises
        ------
        ValueError
            If ``values`` have not the shape of one entry of the table; nothing has changed then.
        """
        shape = self.arrays[table].shape[1:]
        if values is not None and values.shape != shape:
            raise ValueError(f"an entry of {table} has the shape {shape}, not {values.shape}")
        row = self.rows.get(item_id, 0) if values is None else self.ensure_row(item_id)
        if row:
            self.arrays[table][row] = 0 if values is None else values
        return row > 0

    def put_ranker(self, weights: RankerWeights) -> None:
        """Replace the weights of ranker and blend."""
        put_weights(self.arrays, weights)
