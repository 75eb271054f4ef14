"""The stand-alone learner of the vectors: clicks and content in; the vectors job hosts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.learners import shrinking, stored_vectors
from online_models.learners.publication import Publication
from online_models.learners.vector_items import (
    CHUNK,
    REPLAYED_SESSIONS,
    SESSION_ITEMS,
    VectorItems,
)
from online_models.memory.layout import Limits
from online_models.memory.random import random_below
from online_models.memory.state import TABLES as SHARED
from online_models.memory.state import State
from online_models.state_tables import new_state
from online_models.tables import content_tokens, item_rows
from online_models.tables.content_tokens import ITEM_TOKENS
from online_models.tables.item_rows import NOTHING_NEW, told_by_session
from online_models.vectors import two_towers
from online_models.vectors.two_towers import (
    RECENT_CLICKS,
    VECTOR_ITEMS,
    learn_vectors_session,
    learn_vectors_step,
    note_click,
    set_tokens,
)

GONE_SHARE = 8
"""So, however fast items leave, there wait at most this many times those that leave between two
publications."""

_USED = (*SHARED, *item_rows.TABLES, *two_towers.TABLES, *content_tokens.TABLES)


@njit(cache=True)
def _learn_click(
    st: State,
    items: NDArray[np.int32],
    n: int,
    target: int,
    old: NDArray[np.int32],
    held: int,
    slot: int,
    first_slots: NDArray[np.int32],
) -> int:
    """Learn that ``target`` follows ``items[:n]``; a first click replays an old session.

    Returns what this tells of the item (`item_rows.BESIDE`, say).
    """
    if n > 0:
        learn_vectors_step(st, items, 0, n, target)
    elif held > 100:
        row = old[random_below(st, held)]
        learn_vectors_session(st, row, 1, row[0])
    note_click(st, target)
    stat = st.stats[target]
    if stat.clicks == 0:
        first_slots[target] = slot + 1
    stat.clicks += 1
    stat.last = st.counters[0].negatives_seen
    if first_slots[target] == slot + 1:
        return NOTHING_NEW
    return told_by_session(st, target, items, 0, n)


class VectorLearner:
    """Learns two vectors per item from clicks in order; callers use item ids.

    Two learners with the same seed that get the same calls in the same order are equal bit for bit,
    even if one of them was stored and loaded in between.

    Parameters
    ----------
    max_items
        The most items with vectors; those that are worth least make room for further ones.
    seed
        Seed of initial vectors, negatives and replay.
    """

    def __init__(self, max_items: int = 1 << 18, seed: int = 0) -> None:
        self.max_items = max_items
        limits = Limits(max_items)
        self.arrays, self._state = new_state(limits, seed, _USED)
        self.items = VectorItems(limits, self.arrays, self._state, _USED)
        self._publication = Publication(self.items, self._state)
        self._query = np.zeros(VECTOR_ITEMS, np.int32)

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of the items, by their ids."""
        return self.items.rows

    @property
    def clicks(self) -> int:
        """Clicks learned."""
        return self.items.clock

    @property
    def seen_sessions(self) -> int:
        """Sessions learned."""
        return self.items.seen_sessions

    def put_item(self, item_id: str, tokens: Sequence[int]) -> None:
        """Set an item's content (`content_tokens.item_tokens`); its vectors include it at once."""
        row = self._row(item_id)
        if row == 0:
            return
        self.items.put_in_catalogue(row)
        set_tokens(self.arrays, self._state, row, tokens[:ITEM_TOKENS])
        self.items.moved[row] = None

    def learn(self, slot: int, items: Sequence[str], item_id: str) -> int:
        """Learn that an item followed the latest items of a session.

        Parameters
        ----------
        slot
            Slot of the session among those that are replayed, -1 if it has none yet.
        items
            The session before the click, oldest first; the last 10 are read.
        item_id
            The item that came next.

        Returns
        -------
        The session's slot. It gets one at its first click, that of the oldest session.
        """
        known = self.items
        row = known.rows.get(item_id) or self._row(item_id)
        latest = [known.rows.get(item, 0) for item in items[-SESSION_ITEMS:]]
        n = min(len(latest), VECTOR_ITEMS)
        if n:
            self._query[:n] = latest[-n:]
        held = known.held_sessions
        if slot < 0:
            slot = known.seen_sessions % REPLAYED_SESSIONS
            known.seen_sessions += 1
        if row:
            at = self.clicks % RECENT_CLICKS
            told = _learn_click(
                self._state, self._query, n, row, known.sessions, held, slot, known.first_slots
            )
            if known.confirms(told):
                known.confirm(row)
            known.changed[f"c{at // CHUNK}"] = None
            known.moved[row] = None
            self._collect()
        kept = [*latest, row][-SESSION_ITEMS:]
        known.sessions[slot, 0] = len(kept)
        known.sessions[slot, 1 : 1 + len(kept)] = kept
        known.changed[f"s{slot}"] = None
        known.sweep_on()
        return slot

    def _row(self, item_id: str) -> int:
        """Return the row of an item, a new one if it has none; 0 if none is free yet."""
        row = self.items.rows.get(item_id)
        if row is None:
            row = self.items.new_row(item_id)
            self._publication.forget(row)
        return row

    def _collect(self) -> None:
        """Note the rows and tokens that the kernel has moved."""
        n = int(self.arrays["n_moved"][0])
        moved = self.arrays["moved"][:n]
        rows = moved[moved > 0]
        self.arrays["item_adagrad"]["moved"][rows] = 0
        self.items.moved.update(dict.fromkeys(rows.tolist()))
        if len(rows) < n:
            tokens = -moved[moved < 0]
            self.arrays["token_adagrad"]["moved"][tokens] = 0
            self.items.changed.update(dict.fromkeys(f"t{t}" for t in tokens.tolist()))
        self.arrays["n_moved"][0] = 0

    # ---- what is published

    def to_publish(self, most: int) -> list[tuple[str, NDArray[np.float32]]]:
        """Return items whose vectors have moved, and a few others in turn; see `Publication.take`.

        Each with its vectors (2, 64): context, target.
        """
        self._publication.note(self.items.moved)
        return self._publication.take(most)

    def gone(self, most: int) -> list[str]:
        """Return items whose vectors are to be dropped, each of them once.

        They have left, or were withdrawn: up to ``most``, or one in `GONE_SHARE` of those that
        wait if that is more. Publish them before what `to_publish` returns next: an item may have
        come back, and then has new vectors.
        """
        waiting = self.items.gone
        gone = list(islice(waiting, max(most, -(-len(waiting) // GONE_SHARE))))
        for item_id in gone:
            del self.items.gone[item_id]
            self.items.changed[f"g{item_id}"] = None
        return gone

    def withdraw(self, item_id: str) -> None:
        """Stop publishing an item until `put_item` is called for it; it is the first to leave."""
        row = self.items.rows.get(item_id, 0)
        if row:
            self.items.delete(row)
            self._publication.forget(row)

    # ---- what is stored

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """Return what has changed since the last call: counters, and rows by name.

        An empty row is to be removed. `stored_vectors` lists the names.
        """
        items = self.items
        self._publication.note(items.moved)
        rows = {name: stored_vectors.dump_row(items, name) for name in items.changed}
        rows |= stored_vectors.dump_items(items, list(items.moved))
        rows |= self._publication.changes()
        items.moved.clear()
        items.changed.clear()
        return stored_vectors.dump_meta(items), rows

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """Load all that `changes` has ever returned, the latest row of each name.

        If there are more items than this learner may have, those that are worth least leave.
        """
        published: dict[str, bytes] = {}
        rows = _without(rows, published)
        n = stored_vectors.most_row(meta)
        if n is None:
            rows = list(rows)
            n = sum(name[0] == "i" for name, _ in rows)
        if n > self.max_items:
            larger = VectorLearner(n)
            stored_vectors.load(larger.items, meta, rows)
            shrinking.take_best(self.items, larger.items)
            self.items.changed.update(dict.fromkeys(published))  # of other rows
            published.clear()
        else:
            stored_vectors.load(self.items, meta, rows)
        self._publication.load(published)


def _without(
    rows: Iterable[tuple[str, bytes]], published: dict[str, bytes]
) -> Iterator[tuple[str, bytes]]:
    """Yield the rows that are not of `Publication`, and put those that are into ``published``."""
    for name, value in rows:
        if name[0] == "p":
            published[name] = value
        else:
            yield name, value
