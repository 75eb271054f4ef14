"""The stand-alone learner of the vectors: clicks and content in; the vectors job hosts it."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.random import random_below
from online_models.memory.state import COUNTERS, State
from online_models.memory.state import TABLES as SHARED
from online_models.state_tables import new_state
from online_models.tables import content_tokens
from online_models.tables.content_tokens import ITEM_TOKENS
from online_models.vectors import two_towers
from online_models.vectors.two_towers import (
    DIMENSIONS,
    RECENT_CLICKS,
    VECTOR_ITEMS,
    begin_vector,
    current,
    learn_vectors_session,
    learn_vectors_step,
    note_click,
    set_tokens,
)

REPLAYED_SESSIONS = 1 << 16
"""Latest sessions, one of which is replayed with each new session."""

SESSION_ITEMS = 20
"""Latest items kept of each of them."""

PUBLISH_SHARE = 0.05
"""A vector is published once it has moved by this share of its length: 1.5 items per click at 200
clicks a second. With a share of 0.02 it would be 3."""

MOST_LOOKED_AT = 1 << 16
"""The most items that one publication checks: some 10 ms."""

SWEEP = 200
"""Items with content that each publication checks, in turn."""

CHUNK = 256
"""Clicks of the ring of negatives that are stored as one row."""

_HEAD = struct.Struct("<i")
_FLOATS = 2 * DIMENSIONS + 2
"""Vectors and sums of squares of a row; a row with content adds its tokens and their sums."""


@njit(cache=True)
def _learn_click(
    st: State, items: NDArray[np.int32], n: int, target: int, old: NDArray[np.int32], held: int
) -> None:
    """Learn that ``target`` follows ``items[:n]``; a first click replays an old session."""
    if n > 0:
        learn_vectors_step(st, items, 0, n, target)
    elif held > 100:
        row = old[random_below(st, held)]
        learn_vectors_session(st, row, 1, row[0])
    note_click(st, target)


@njit(cache=True, fastmath=True)
def _moved(
    st: State, rows: NDArray[np.int64], published: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return how far rows have moved from what was published, as a share of their length."""
    out = np.zeros(len(rows), np.float32)
    now = np.zeros(2 * DIMENSIONS, np.float32)
    for i in range(len(rows)):
        k = rows[i]
        current(st, k, now)
        moved = np.float32(0)
        size = np.float32(1e-12)
        for d in range(2 * DIMENSIONS):
            x = now[d] - published[k, d]
            moved += x * x
            size += now[d] * now[d]
        out[i] = np.sqrt(moved / size)
    return out


@njit(cache=True)
def _publish(st: State, rows: NDArray[np.int64], published: NDArray[np.float32]) -> None:
    for k in rows:
        current(st, k, published[k])


class VectorLearner:
    """Learns two vectors per item from clicks in order; callers use item ids.

    Two learners with the same seed that get the same calls in the same order are equal bit for bit,
    even if one of them was stored and loaded in between.

    Parameters
    ----------
    max_items
        The most items with vectors; further ones are ignored.
    seed
        Seed of initial vectors, negatives and replay.
    """

    def __init__(self, max_items: int = 1 << 18, seed: int = 0) -> None:
        self.max_items = max_items
        used = (*SHARED, *two_towers.TABLES, *content_tokens.TABLES)
        self.arrays, self._state = new_state(Limits(max_items), seed, used)
        self._counters = self.arrays["counters"]
        self.ids: list[str] = [""]
        self.rows: dict[str, int] = {}
        self._sessions = np.zeros((REPLAYED_SESSIONS, 1 + SESSION_ITEMS), np.int32)
        self._query = np.zeros(VECTOR_ITEMS, np.int32)
        self._published = np.zeros((max_items + 1, 2 * DIMENSIONS), np.float32)
        self._unpublished: dict[int, None] = {}
        self._changed: dict[str, None] = {}
        self._moved: dict[int, None] = {}
        self._tokened: deque[int] = deque()
        self.seen_sessions = 0

    @property
    def clicks(self) -> int:
        """Clicks learned."""
        return int(self._counters["negatives_seen"][0])

    def row(self, item_id: str) -> int:
        """Return the row of an item, a new one if it has none; 0 if the table is full."""
        row = self.rows.get(item_id)
        if row is None:
            row = len(self.ids)
            if row > self.max_items:
                return 0
            self.rows[item_id] = row
            self.ids.append(item_id)
            begin_vector(self._state, row)
        return row

    def put_item(self, item_id: str, tokens: Sequence[int]) -> None:
        """Set an item's content (`content_tokens.item_tokens`); its vectors include it at once."""
        row = self.row(item_id)
        if row == 0:
            return
        if tokens and not self.arrays["item_tokens"][row, 0]:
            self._tokened.append(row)
        self.arrays["item_adagrad"]["withdrawn"][row] = 0
        set_tokens(self.arrays, self._state, row, tokens[:ITEM_TOKENS])
        self._note(row)

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
        row = self.row(item_id)
        latest = [self.rows.get(item, 0) for item in items[-SESSION_ITEMS:]]
        n = min(len(latest), VECTOR_ITEMS)
        if n:
            self._query[:n] = latest[-n:]
        if row:
            at = self.clicks % RECENT_CLICKS
            held = min(self.seen_sessions, REPLAYED_SESSIONS)
            _learn_click(self._state, self._query, n, row, self._sessions, held)
            self._changed[f"c{at // CHUNK}"] = None
            self._collect()
        if slot < 0:
            slot = self.seen_sessions % REPLAYED_SESSIONS
            self.seen_sessions += 1
        kept = [*latest, row][-SESSION_ITEMS:]
        self._sessions[slot, 0] = len(kept)
        self._sessions[slot, 1 : 1 + len(kept)] = kept
        self._changed[f"s{slot}"] = None
        return slot

    def _collect(self) -> None:
        """Note the rows and tokens that the kernel has moved."""
        n = int(self.arrays["n_moved"][0])
        moved = self.arrays["moved"][:n]
        rows = moved[moved > 0]
        self.arrays["item_adagrad"]["moved"][rows] = 0
        self._moved.update(dict.fromkeys(rows.tolist()))
        if len(rows) < n:
            tokens = -moved[moved < 0]
            self.arrays["token_adagrad"]["moved"][tokens] = 0
            self._changed.update(dict.fromkeys(f"t{t}" for t in tokens.tolist()))
        self.arrays["n_moved"][0] = 0

    def _note(self, row: int) -> None:
        self._moved[row] = None
        self._unpublished[row] = None

    # ---- what is published

    def to_publish(self, most: int) -> list[tuple[str, NDArray[np.float32]]]:
        """Return items whose vectors have moved, with their vectors (2, 64): context, target.

        At most ``most``, those that have moved furthest; the others wait for the next call. Items
        that have moved by less than `PUBLISH_SHARE` are left out until they move further.
        """
        # Tokens move with every click on any of their items: check the unclicked items in turn.
        for _ in range(min(SWEEP, len(self._tokened))):
            self._unpublished[self._tokened[0]] = None
            self._tokened.rotate(-1)
        self._unpublished.update(self._moved)
        rows = np.array(list(islice(self._unpublished, MOST_LOOKED_AT)), np.int64)
        if len(rows) == 0:
            return []
        moved = _moved(self._state, rows, self._published)
        moved[self.arrays["item_adagrad"]["withdrawn"][rows] > 0] = 0
        far = moved > PUBLISH_SHARE
        for row in rows[~far].tolist():
            del self._unpublished[row]
        rows = rows[far][np.argsort(-moved[far], kind="stable")[:most]]
        _publish(self._state, rows, self._published)
        out = []
        for row in rows.tolist():
            del self._unpublished[row]
            out.append((self.ids[row], self._published[row].reshape(2, DIMENSIONS).copy()))
        return out

    def withdraw(self, item_id: str) -> None:
        """Stop publishing an item until `put_item` is called for it; its learned vectors stay."""
        row = self.rows.get(item_id, 0)
        self._published[row] = 0
        self.arrays["item_adagrad"]["withdrawn"][row] = 1
        self._moved[row] = None

    def publish_all(self) -> None:
        """Have the next calls of `to_publish` return every item again."""
        self._published[:] = 0
        self._unpublished.update(dict.fromkeys(range(1, len(self.ids))))

    # ---- what is stored

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """Return what has changed since the last call: counters, and rows by name.

        Names: ``i<item id>``, ``t<token>``, ``s<slot of a session>``, ``c<chunk of clicks>``.
        """
        self._unpublished.update(self._moved)
        rows = self._dump_items(list(self._moved))
        rows |= {name: self._dump_row(name) for name in self._changed}
        self._moved.clear()
        self._changed.clear()
        meta = struct.pack("<q", self.seen_sessions) + self._counters.tobytes()
        return meta, rows

    def _dump_items(self, rows: Sequence[int]) -> dict[str, bytes]:
        """Return the stored form of items, by name of the row.

        A click moves some 40 items: serialising them one by one took longer than learning.
        """
        a = self.arrays
        numbers = np.array(rows, np.int64)
        table = np.empty((len(numbers), 1 + _FLOATS), np.float32)
        gone = a["item_adagrad"]["withdrawn"][numbers] > 0
        table[:, 0] = np.where(gone, -numbers, numbers).astype(np.int32).view(np.float32)
        table[:, 1 : 1 + DIMENSIONS] = a["context_vectors"][numbers]
        table[:, 1 + DIMENSIONS : 1 + 2 * DIMENSIONS] = a["target_vectors"][numbers]
        table[:, 1 + 2 * DIMENSIONS :] = a["item_adagrad"]["squares"][numbers]
        raw, size = table.tobytes(), table.strides[0]
        ids = self.ids
        dumped = {f"i{ids[row]}": raw[i * size : (i + 1) * size] for i, row in enumerate(rows)}
        for row in numbers[a["item_tokens"][numbers, 0] > 0].tolist():
            dumped[f"i{ids[row]}"] += a["token_sums"][row].tobytes()
            dumped[f"i{ids[row]}"] += a["item_tokens"][row].tobytes()
        return dumped

    def _dump_row(self, name: str) -> bytes:
        a = self.arrays
        number = int(name[1:])
        if name[0] == "t":
            return bytes(
                a["token_vectors"][number].tobytes()
                + a["token_adagrad"]["squares"][number].tobytes()
            )
        if name[0] == "s":
            return self._sessions[number, : 1 + self._sessions[number, 0]].tobytes()
        return bytes(a["recent_clicks"][number * CHUNK : (number + 1) * CHUNK].tobytes())

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """Load all that `changes` has ever returned, the latest row of each name."""
        self.seen_sessions = struct.unpack_from("<q", meta)[0]
        self._counters[:] = np.frombuffer(meta, COUNTERS, 1, 8)
        names: dict[int, str] = {}
        for name, value in rows:
            self._load_row(name, value, names)
        self.ids = ["", *(names[row] for row in range(1, len(names) + 1))]
        self.rows = {item_id: row for row, item_id in enumerate(self.ids) if row}
        self.publish_all()

    def _load_row(self, name: str, value: bytes, names: dict[int, str]) -> None:
        a = self.arrays
        if name[0] == "i":
            signed = _HEAD.unpack_from(value)[0]
            row = abs(signed)
            names[row] = name[1:]
            a["item_adagrad"]["withdrawn"][row] = signed < 0
            floats = np.frombuffer(value, np.float32, _FLOATS, 4)
            a["context_vectors"][row] = floats[:DIMENSIONS]
            a["target_vectors"][row] = floats[DIMENSIONS : 2 * DIMENSIONS]
            a["item_adagrad"]["squares"][row] = floats[2 * DIMENSIONS :]
            at = 4 + 4 * _FLOATS
            if len(value) > at:
                sums = np.frombuffer(value, np.float32, 2 * DIMENSIONS, at)
                a["token_sums"][row] = sums
                self._tokened.append(row)
                a["item_tokens"][row] = np.frombuffer(
                    value, np.int32, ITEM_TOKENS, at + sums.nbytes
                )
            return
        number = int(name[1:])
        if name[0] == "t":
            floats = np.frombuffer(value, np.float32)
            a["token_vectors"][number] = floats[: 2 * DIMENSIONS]
            a["token_adagrad"]["squares"][number] = floats[2 * DIMENSIONS :]
        elif name[0] == "s":
            items = np.frombuffer(value, np.int32)
            self._sessions[number, : len(items)] = items
        else:
            clicks = np.frombuffer(value, np.int32)
            a["recent_clicks"][number * CHUNK : number * CHUNK + len(clicks)] = clicks
