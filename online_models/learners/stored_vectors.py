"""What the learner of vectors stores: counters, and named rows, the changed ones at a time.

Names: ``i<item id>`` an item, ``f<row>`` a row that no item has, ``g<item id>`` an item whose
vectors the replicas are yet to drop, ``t<token>``, ``s<slot of a session>``, ``c<chunk of
clicks>``; ``p<row>``, what has been published of it, is `learners.publication`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from online_models.learners.vector_items import CHUNK, VectorItems
from online_models.memory.sharded_dict import ShardedDict
from online_models.memory.state import COUNTERS
from online_models.tables.content_tokens import ITEM_TOKENS
from online_models.tables.item_rows import CONFIRMED, DELETED, IN_CATALOGUE
from online_models.vectors.two_towers import DIMENSIONS, RECENT_CLICKS

_SEEN = struct.Struct("<q")
_COUNTS = struct.Struct("<qqq")
"""Departures, rows that are leaving, and the most items."""

_SWEEP = struct.Struct("<i?iiidiii")
FORMER_SIZE = _SEEN.size + COUNTERS.itemsize
"""Bytes of the counters of the version before, whose table filled."""

FORMER_RECORD = np.dtype(
    [
        ("row", "i4"),  # negative: deleted
        ("context_vectors", "f4", (DIMENSIONS,)),
        ("target_vectors", "f4", (DIMENSIONS,)),
        ("squares", "f4", (2,)),
    ]
)
_STATS = ("clicks", "born", "flags", "last")
RECORD = np.dtype(
    [
        *((name, FORMER_RECORD[name]) for name in FORMER_RECORD.names or ()),
        ("clicks", "f4"),
        ("born", "f4"),
        ("flags", "i4"),
        ("first_slot", "i4"),
        ("last", "i8"),
        ("order", "i8"),
    ]
)
"""A row; one with content adds its tokens and the sums of their vectors."""

_CONTENT = 4 * (2 * DIMENSIONS + ITEM_TOKENS)


# ---- counters


def dump_meta(items: VectorItems) -> bytes:
    """Return the counters: a few numbers, since they are written with every batch."""
    counts = _COUNTS.pack(items.departures, len(items.leaving), items.limits.max_items)
    sweep = _SWEEP.pack(*items.sweep.kept().values())
    return _SEEN.pack(items.seen_sessions) + items.arrays["counters"].tobytes() + counts + sweep


def most_row(meta: bytes) -> int | None:
    """Return how many rows there are; None if the counters do not tell."""
    if len(meta) == FORMER_SIZE:
        return None
    return int(np.frombuffer(meta, COUNTERS, 1, _SEEN.size)["rows"][0])


# ---- rows


def dump_items(items: VectorItems, rows: Sequence[int]) -> dict[str, bytes]:
    """Return rows by name, of items and of no item.

    A click moves some 40 items: serialising them one by one took longer than learning.
    """
    a, ids = items.arrays, items.ids
    numbers = np.array(rows, np.int64)
    table = np.empty(len(numbers), RECORD)
    table["row"] = numbers
    table["context_vectors"] = a["context_vectors"][numbers]
    table["target_vectors"] = a["target_vectors"][numbers]
    table["squares"] = a["item_adagrad"]["squares"][numbers]
    stats = a["stats"][numbers]
    for name in _STATS:
        table[name] = stats[name]
    table["first_slot"] = items.first_slots[numbers]
    table["order"] = items.order[numbers]
    raw, size = table.tobytes(), RECORD.itemsize
    names = [f"i{ids[row]}" for row in rows]
    for at in np.flatnonzero(a["becomes"][numbers] == 0).tolist():
        names[at] = f"f{rows[at]}"
    dumped = {name: raw[i * size : (i + 1) * size] for i, name in enumerate(names)}
    for at in np.flatnonzero(a["item_tokens"][numbers, 0]).tolist():
        row = rows[at]
        dumped[names[at]] += a["token_sums"][row].tobytes() + a["item_tokens"][row].tobytes()
    return dumped


def dump_row(items: VectorItems, name: str) -> bytes:
    """Return any other row; empty: it is to be removed."""
    a, kind = items.arrays, name[0]
    if kind in "ifp":  # these come from elsewhere, unless they are no more
        return b""
    if kind == "g":
        return b"\1" if name[1:] in items.gone else b""
    number = int(name[1:])
    if kind == "t":
        vector, squares = a["token_vectors"][number], a["token_adagrad"]["squares"][number]
        return bytes(vector.tobytes() + squares.tobytes())
    if kind == "s":
        return items.sessions[number, : 1 + items.sessions[number, 0]].tobytes()
    return bytes(a["recent_clicks"][number * CHUNK : (number + 1) * CHUNK].tobytes())


def load(items: VectorItems, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
    """Load all that was ever dumped, the latest row of each name; the table has room for it."""
    a = items.arrays
    items.seen_sessions = _SEEN.unpack_from(meta)[0]
    a["counters"][:] = np.frombuffer(meta, COUNTERS, 1, _SEEN.size)
    ids: dict[int, str] = {}
    for name, value in rows:
        if name[0] == "i":
            row = _load_item(items, value)
            ids[row] = name[1:]
            a["becomes"][row] = row
        elif name[0] == "f":
            ids[_load_item(items, value)] = ""
        else:
            _load_row(items, name, value)
    items.ids = ["", *(ids[row] for row in range(1, len(ids) + 1))]
    a["counters"]["rows"] = len(ids)
    away = 1 + np.flatnonzero(a["becomes"][1 : len(items.ids)] == 0)
    away = away[np.argsort(items.order[away])].tolist()
    if len(meta) == FORMER_SIZE:
        _estimate(items)
    else:
        _load_sweep(items, meta, away)
    used = np.flatnonzero(a["becomes"])
    items.rows = ShardedDict((items.ids[row], row) for row in used.tolist())
    items.count_catalogue()
    flags = a["stats"]["flags"][used]
    items.unconfirmed = int((flags & CONFIRMED == 0).sum())
    deleted = used[flags & DELETED > 0]
    deleted = deleted[np.argsort(items.order[deleted], kind="stable")]
    items.deleted.clear()
    items.deleted.update(dict.fromkeys(deleted.tolist()))


def _load_sweep(items: VectorItems, meta: bytes, away: list[int]) -> None:
    """Go on with the sweep that was under way; ``away``: rows without an item, in their order."""
    items.departures, leaving, max_items = _COUNTS.unpack_from(meta, FORMER_SIZE)
    free = len(away) - leaving
    items.free, items.leaving = away[:free], away[free:]
    values = _SWEEP.unpack_from(meta, FORMER_SIZE + _COUNTS.size)
    items.sweep.keep(dict(zip(items.sweep.kept(), values, strict=True)))
    if max_items != items.limits.max_items and not items.sweep.active:
        items.sweep.end()


def _load_item(items: VectorItems, value: bytes) -> int:
    a = items.arrays
    former = (len(value) - FORMER_RECORD.itemsize) % _CONTENT == 0
    kind = FORMER_RECORD if former else RECORD
    record = np.frombuffer(value, kind, 1)[0]
    row = abs(int(record["row"]))
    a["context_vectors"][row] = record["context_vectors"]
    a["target_vectors"][row] = record["target_vectors"]
    a["item_adagrad"]["squares"][row] = record["squares"]
    if former:
        a["stats"]["flags"][row] = DELETED if record["row"] < 0 else 0
    else:
        for name in _STATS:
            a["stats"][name][row] = record[name]
        items.first_slots[row], items.order[row] = record["first_slot"], record["order"]
    at = kind.itemsize
    if len(value) > at:
        sums = np.frombuffer(value, np.float32, 2 * DIMENSIONS, at)
        a["token_sums"][row] = sums
        a["item_tokens"][row] = np.frombuffer(value, np.int32, ITEM_TOKENS, at + sums.nbytes)
    return row


def _load_row(items: VectorItems, name: str, value: bytes) -> None:
    a, kind = items.arrays, name[0]
    if kind == "g":
        items.gone[name[1:]] = None
        return
    number = int(name[1:])
    if kind == "t":
        floats = np.frombuffer(value, np.float32)
        a["token_vectors"][number] = floats[: 2 * DIMENSIONS]
        a["token_adagrad"]["squares"][number] = floats[2 * DIMENSIONS :]
    elif kind == "s":
        rows = np.frombuffer(value, np.int32)
        items.sessions[number, : len(rows)] = rows
    else:
        clicks = np.frombuffer(value, np.int32)
        a["recent_clicks"][number * CHUNK : number * CHUNK + len(clicks)] = clicks


def _estimate(items: VectorItems) -> None:
    """Estimate what the version before did not store: clicks from those that are remembered."""
    a, stats = items.arrays, items.arrays["stats"]
    n = len(items.ids)
    end = items.clock
    numbers = np.arange(max(end - RECENT_CLICKS, 0), end)
    recent = a["recent_clicks"][numbers % RECENT_CLICKS]
    stats["clicks"][1:n] = np.maximum(np.bincount(recent, minlength=n)[1:n], 1)
    np.maximum.at(stats["last"], recent, numbers)
    held = items.sessions[: items.held_sessions, 1:]
    slots = np.repeat(np.arange(len(held)), held.shape[1])
    pairs = np.unique(slots * n + held.reshape(-1)) % n
    flags = stats["flags"][1:n]
    flags[np.bincount(pairs, minlength=n)[1:n] > 1] |= CONFIRMED
    content = a["item_tokens"][1:n, 0] > 0
    flags[content & (flags & DELETED == 0)] |= CONFIRMED | IN_CATALOGUE
    stats["last"][0] = stats["clicks"][0] = 0
    # Everything is stored in the new form.
    items.moved.update(dict.fromkeys(range(1, n)))
