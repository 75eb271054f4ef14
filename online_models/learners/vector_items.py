"""The items of the learner of vectors: which have rows, and how those worth least leave."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.state import State
from online_models.memory.table import Arrays, Table
from online_models.sweep import PLACES_A_CLICK, Phase, Sweep, phases_of
from online_models.tables.item_rows import CONFIRMED, DELETED, IN_CATALOGUE, ItemRows
from online_models.vectors.two_towers import SWEPT_CLICKS, begin_vector, set_tokens

REPLAYED_SESSIONS = 1 << 16
"""Latest sessions, one of which is replayed with each new session."""

SESSION_ITEMS = 20
"""Latest items kept of each of them."""

CHUNK = 256
"""Clicks of the ring of negatives that are stored as one row."""


@njit(cache=True)
def _forget_sessions(
    st: State, sessions: NDArray[np.int32], first: int, end: int, changed: NDArray[np.int64]
) -> int:
    """Replace the rows that leave by 0; set ``changed`` to the slots, and return how many."""
    n = 0
    for slot in range(first, end):
        found = False
        for at in range(1, 1 + sessions[slot, 0]):
            row = st.becomes[sessions[slot, at]]
            if sessions[slot, at] != row:
                sessions[slot, at] = row
                found = True
        if found:
            changed[n] = slot
            n += 1
    return n


class VectorItems(ItemRows):
    """Items with vectors, the sessions that name them, and what of both is yet to be stored.

    Any clicked item gets a row. The ids that a robot invents are not confirmed: they are worth
    least, and while they hold more than an eighth of the rows, only they leave.

    Parameters
    ----------
    limits
        Bounds of the tables.
    arrays, state
        The tables, and the kernels' view of them.
    used
        Tables that have their full size.
    """

    def __init__(
        self, limits: Limits, arrays: Arrays, state: State, used: tuple[Table, ...]
    ) -> None:
        super().__init__(limits, arrays)
        self.state = state
        self.sessions = np.zeros((REPLAYED_SESSIONS, 1 + SESSION_ITEMS), np.int32)
        """Of each session, the number of its items, and their rows."""
        self.seen_sessions = 0
        self.first_slots = np.zeros(limits.rows, np.int32)
        """Slot of the session that clicked an item first, plus one."""
        self.order = np.zeros(limits.rows, np.int64)
        """When an item was deleted or has left: these are served in turn."""
        self.departures = 0
        """Deletions and items that have left so far."""
        self.unconfirmed = 0
        """Items that are not confirmed."""
        self.deleted: OrderedDict[int, None] = OrderedDict()
        self.moved: dict[int, None] = {}
        """Rows that have changed since they were stored."""
        self.changed: dict[str, None] = {}
        """Names of the other stored rows that have."""
        self.gone: dict[str, None] = {}
        """Items whose vectors the replicas are yet to drop; `VectorLearner.gone` bounds them."""
        self.on_new_item.append(self._note_reuse)
        (clicks,) = phases_of(self, state, used)
        self._forget_clicks = clicks.forget
        self._swept = np.zeros(REPLAYED_SESSIONS, np.int64)
        phases = [
            Phase(clicks.places, self._sweep_clicks),
            Phase(lambda: self.held_sessions, self._sweep_sessions),
        ]
        self.sweep = Sweep(self, state, phases, self.deleted)

    @property
    def clock(self) -> int:
        """Clicks so far; the ring of negatives counts them."""
        return int(self.arrays["counters"]["negatives_seen"][0])

    @property
    def held_sessions(self) -> int:
        """Sessions that may be replayed."""
        return min(self.seen_sessions, REPLAYED_SESSIONS)

    # ---- items that come, and what they are worth

    def begin_row(self, row: int) -> None:
        """See `ItemRows.begin_row`."""
        self.unconfirmed += 1
        self._keep_published(row)
        begin_vector(self.state, row)
        self.moved[row] = None

    def _note_reuse(self, row: int) -> None:
        self.changed[f"f{row}"] = None

    def _keep_published(self, row: int) -> None:
        item_id = self.ids[row]
        if item_id in self.gone:
            del self.gone[item_id]
            self.changed[f"g{item_id}"] = None

    def put_in_catalogue(self, row: int) -> None:
        """Note that the catalogue has an item."""
        self.confirm(row)
        self.set_flags(row, (int(self.arrays["stats"][row]["flags"]) | IN_CATALOGUE) & ~DELETED)
        self.deleted.pop(row, None)
        self._keep_published(row)

    def delete(self, row: int) -> None:
        """Note that the catalogue has deleted an item: it is the first to leave."""
        self.confirm(row)
        self.set_flags(row, (int(self.arrays["stats"][row]["flags"]) | DELETED) & ~IN_CATALOGUE)
        self._note_departure(row)
        self.deleted.pop(row, None)
        self.deleted[row] = None

    def confirm(self, row: int) -> None:
        """Note that an item is genuine: in the catalogue, or clicked in two sessions."""
        stat = self.arrays["stats"][row]
        if not stat["flags"] & CONFIRMED:
            stat["flags"] = int(stat["flags"]) | CONFIRMED
            self.unconfirmed -= 1

    @property
    def many_unconfirmed(self) -> bool:
        """See `ItemRows.many_unconfirmed`: more than half of their share."""
        return self.unconfirmed > self.limits.provisional_share * self.limits.max_items / 2

    # ---- items that leave

    def make_room(self) -> None:
        """See `ItemRows.make_room`."""
        self.sweep.make_room()

    def sweep_on(self) -> None:
        """Do a click's part of the sweep that is under way."""
        if self.sweep.active:
            self.sweep.step(PLACES_A_CLICK)

    def end_row(self, row: int) -> None:
        """See `ItemRows.end_row`."""
        self.unconfirmed -= not self.arrays["stats"]["flags"][row] & CONFIRMED
        self.deleted.pop(row, None)
        set_tokens(self.arrays, self.state, row, ())
        self._note_departure(row)

    def set_free(self, rows: list[int]) -> None:
        """See `ItemRows.set_free`."""
        super().set_free(rows)
        self.moved.update(dict.fromkeys(rows))

    def _note_departure(self, row: int) -> None:
        item_id = self.ids[row]
        self.departures += 1
        self.order[row] = self.departures
        self.moved[row] = None
        self.gone[item_id] = None
        self.changed[f"g{item_id}"] = None
        self.changed[f"i{item_id}"] = None

    def _sweep_clicks(self, first: int, end: int) -> None:
        self._forget_clicks(first, end)
        chunks = range(first * SWEPT_CLICKS // CHUNK, -(-end * SWEPT_CLICKS // CHUNK))
        self.changed.update(dict.fromkeys(f"c{chunk}" for chunk in chunks))

    def _sweep_sessions(self, first: int, end: int) -> None:
        n = _forget_sessions(self.state, self.sessions, first, end, self._swept)
        self.changed.update(dict.fromkeys(f"s{slot}" for slot in self._swept[:n].tolist()))
