"""Taking over the state of a larger learner of vectors: the items that are worth least leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.learners.vector_items import CHUNK, VectorItems
from online_models.tables.item_rows import CONFIRMED, DELETED, worth
from online_models.vectors.two_towers import RECENT_CLICKS

SPARE_SHARE = 32
"""One row in this many is free afterwards."""

_BY_ROW = (
    "context_vectors", "target_vectors", "item_adagrad", "token_sums", "item_tokens", "stats",
)  # fmt: skip


def take_best(items: VectorItems, larger: VectorItems) -> None:
    """Take over as many items as there is room for, under new rows, and all that is not by row."""
    a, b = items.arrays, larger.arrays
    most = items.limits.max_items
    best = _best(larger, most - max(most // SPARE_SHARE, 1))
    n = len(best)
    for name in _BY_ROW:
        a[name][1 : n + 1] = b[name][best]
    a["becomes"][1 : n + 1] = np.arange(1, n + 1)
    items.first_slots[1 : n + 1] = larger.first_slots[best]
    new = np.zeros(larger.limits.rows, np.int32)
    new[best] = np.arange(1, n + 1)
    a["recent_clicks"][:] = new[b["recent_clicks"]]
    items.sessions[:, 0] = larger.sessions[:, 0]
    items.sessions[:, 1:] = new[larger.sessions[:, 1:]]
    for name in ("token_vectors", "token_adagrad", "counters"):
        a[name][:] = b[name]
    items.seen_sessions = larger.seen_sessions
    items.departures = larger.departures
    a["counters"]["rows"] = n
    a["counters"]["items_with_content"] = int((a["item_tokens"][1 : n + 1, 0] > 0).sum())
    items.ids = ["", *(larger.ids[row] for row in best.tolist())]
    items.rows.update((item, row) for row, item in enumerate(items.ids) if row)
    items.count_catalogue()
    items.unconfirmed = int((a["stats"]["flags"][1 : n + 1] & CONFIRMED == 0).sum())
    items.gone = larger.gone | {item: None for item in larger.rows if item not in items.rows}
    _store_all(items, larger)


def _best(items: VectorItems, most: int) -> NDArray[np.int64]:
    """Return the rows of the ``most`` items that are worth most, in their order."""
    rows = np.array(sorted(items.rows.values()), np.int64)
    rows = rows[items.arrays["stats"]["flags"][rows] & DELETED == 0]
    worths = [worth(items.state, row, items.clock) for row in rows.tolist()]
    return np.sort(rows[np.argsort(-np.array(worths), kind="stable")[:most]])


def _store_all(items: VectorItems, larger: VectorItems) -> None:
    """Have everything stored under the new rows, and what is no more removed."""
    items.moved.update(dict.fromkeys(range(1, len(items.ids))))
    names = [f"i{item}" for item in larger.rows]
    names += [f"f{row}" for row in (*larger.leaving, *larger.free)]
    names += [f"g{item}" for item in items.gone]
    names += [f"s{slot}" for slot in range(items.held_sessions)]
    chunks = min(-(-items.clock // CHUNK), RECENT_CLICKS // CHUNK)
    names += [f"c{chunk}" for chunk in range(chunks)]
    items.changed.update(dict.fromkeys(names))
