"""Models in tables of other limits: how a snapshot is read into larger or smaller ones.

What has to go where there is less room, each time that which is worth least: items as in a sweep,
the oldest sessions, the ends of lists (`Lists.shorten`), hashed entries whose places meet.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from online_models.engine.snapshot import KEPT, SnapshotError
from online_models.memory.layout import Limits
from online_models.memory.sharded_dict import ShardedDict
from online_models.memory.slabs import BUMP, LIMIT
from online_models.memory.table import Arrays, Kept, Lists, Table
from online_models.state_tables import used_entries
from online_models.sweep import BATCH_SHARE, Sweep
from online_models.tables.items import ItemTable

ARENA_SHARE = 8
"""Where lists are shortened, one entry in this many of an arena stays free for new ones."""

LISTS_AT_ONCE = 1 << 14


def squeeze(items: ItemTable, sweep: Sweep, max_items: int) -> None:
    """Let items leave, and give the others the first rows, in their order.

    Some rows stay free for new items. Nothing happens if all rows fit.
    """
    if len(items.ids) <= max_items + 1:
        return
    sweep.evict(max_items - max_items // BATCH_SHARE)
    used = np.array(sorted(items.rows.values()), np.int64)
    becomes = np.zeros(len(items.arrays["becomes"]), np.int32)
    becomes[used] = np.arange(1, len(used) + 1)
    sweep.move(becomes)
    for table in KEPT:
        if table.by_row:
            array = items.arrays[table.name]
            array[1 : len(used) + 1] = array[used]
    items.arrays["counters"]["rows"] = len(used)
    items.ids = ["", *(items.ids[row] for row in used.tolist())]
    items.free = []
    items.deleted = OrderedDict.fromkeys(int(becomes[row]) for row in items.deleted)
    items.rows = ShardedDict((item_id, row) for row, item_id in enumerate(items.ids) if row)


def lay_out(old: Arrays, was: Limits, new: Arrays, limits: Limits) -> None:
    """Put what tables hold into empty ones of other limits, whose rows suffice.

    Raises
    ------
    SnapshotError
        If a table has another shape there that this cannot change.
    """
    numbers = old["sessions"]["number"]
    slots = np.flatnonzero(numbers > old["counters"]["next_session"][0] - limits.max_sessions)
    slots = slots[numbers[slots] > 0]
    slots = slots[np.argsort(numbers[slots])]
    metas = {f"{table.name}_meta" for table in KEPT if table.kept is Kept.ARENA}
    for table in KEPT:
        source, target = old[table.name], new[table.name]
        _check(table, source, target)
        if table.kept is Kept.SESSIONS:
            target[(numbers[slots] - 1) & (limits.max_sessions - 1)] = source[slots]
        elif table.kept is Kept.HASHED:
            table.put_hashed(target, source[source["key"] != 0])
        elif table.kept is not Kept.ARENA and table.name not in metas:
            n = used_entries(table.name, old, was)
            target[:n] = source[:n]
    for table in KEPT:
        if table.lists is not None:
            meta = new[f"{table.name}_meta"]
            meta[LIMIT] = len(new[table.name])
            owners = new[table.lists.owners]
            meta[BUMP] = _refit(table.lists, owners, old[table.name], new[table.name])


def _check(table: Table, source: NDArray[np.void], target: NDArray[np.void]) -> None:
    whole = table.kept in (Kept.WHOLE, Kept.CASES) and len(source) != len(target)
    if whole or source.shape[1:] != target.shape[1:]:
        raise SnapshotError(
            f"{table.name} is {source.shape} at the snapshot's limits and {target.shape} at these: "
            "it cannot be read into other limits"
        )


def _refit(
    lists: Lists, owners: NDArray[np.void], old: NDArray[np.void], new: NDArray[np.void]
) -> int:
    """Put the lists of an arena into another one, side by side; return the first free entry."""
    has = np.flatnonzero(owners[lists.slab])
    wanted = owners[lists.slab][has].astype(np.int64)
    granted = _granted(wanted, lists.sizes, len(new))
    ends = np.cumsum(lists.sizes[granted])
    starts = ends - lists.sizes[granted]
    for before, after in sorted(set(zip(wanted.tolist(), granted.tolist(), strict=True))):
        which = np.flatnonzero((wanted == before) & (granted == after))
        for first in range(0, len(which), LISTS_AT_ONCE):
            part = which[first : first + LISTS_AT_ONCE]
            theirs = owners[has[part]]
            size, room = int(lists.sizes[before]), int(lists.sizes[after])
            content = old[theirs[lists.at].astype(np.int64)[:, None] + np.arange(size)]
            if room < size:
                content = lists.shorten(content, theirs, room)
            new[starts[part][:, None] + np.arange(room)] = content
            theirs[lists.slab] = after
            theirs[lists.at] = starts[part] if room else 0
            owners[has[part]] = theirs
    return int(ends[-1]) if len(ends) else 0


def _granted(wanted: NDArray[np.int64], sizes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Return the slab for each list: the one it had or, if not all fit, the smaller ones first."""
    if sizes[wanted].sum() <= room:
        return wanted
    left = room - room // ARENA_SHARE
    granted = np.zeros_like(wanted)
    for slab in range(1, len(sizes)):
        more = int(sizes[slab] - sizes[slab - 1])
        asking = np.flatnonzero((wanted >= slab) & (granted == slab - 1))[: left // more]
        granted[asking] = slab
        left -= len(asking) * more
    return granted
