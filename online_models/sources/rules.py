"""Sequential rules and co-visits, as bounded sorted lists.

Each item has one list. An entry is another item with its sequential weight (the sum of 1 / distance
in steps), the number of co-visits and the number of direct successions. Entries are sorted by the
sum of the three; in a full list, a new item replaces the last entry. Sequential rules as in Ludewig
& Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018, made incremental.

    st.items[a].rules --> | item | seq | cov | next | item | seq | cov | next | ...   best first
                            16 bytes an entry, lists of 8, 32 or 128 entries (`memory.slabs`)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.prefetch import prefetch
from online_models.memory.slabs import give, give_rest, longer_list, meta_table, take
from online_models.memory.state import State
from online_models.memory.table import Forget, Kept, Lists, Table
from online_models.sources.own_session import own_steps
from online_models.sources.pool import find_in_pool, place_in_pool
from online_models.sources.source import Column, Source
from online_models.tables.sessions import items_of

RULE_SLABS = np.array([0, 8, 32, 128], np.int64)

RULE_ITEMS = 3
"""Latest items of a session whose rules are followed."""

RULE_READ = 64
"""Entries that are read of each list."""

FEW_RULES = 8
"""Entries that `has_rule_to` reads."""

RULE_WINDOW = 10
"""A click makes rules with this many steps before it."""

PRIOR = np.float32(2)
"""Added to the sum of which shares are taken: a single observation is no certainty."""

RULE = np.dtype([("item", "i4"), ("seq", "f4"), ("cov", "f4"), ("next", "f4")])

SEQ, COV, NEXT, SEQ1, COV1 = range(5)
"""Columns: sequential weights and co-visits from the latest items, direct successors of the last
item, and sequential weights and co-visits from the last item alone."""

SEQ2, COV2 = range(2)
"""Facts: sequential weights and co-visits from the second last item alone."""

OWN_SEQ, OWN_NEXT = 0, 1
"""Places in ``State.own_links``."""


def _rule_entries(limits: Limits) -> int:
    return limits.rows * limits.rules_per_item


@njit(cache=True)
def _copy(st: State, source: int, target: int) -> None:
    e = st.rules[source]
    d = st.rules[target]
    d.item = e.item
    d.seq = e.seq
    d.cov = e.cov
    d.next = e.next


@njit(cache=True)
def _forget(st: State, a: int) -> None:
    """Drop items that leave from the list of item ``a``, and from its sums; free its own list."""
    it = st.items[a]
    rules = st.rules
    size = RULE_SLABS[it.rules_slab]
    if st.becomes[a] == 0:
        if size > 0:
            give(st.rule_words, 4, st.rules_meta, it.rules_slab, it.rules)
            it.rules_slab = 0
        return
    at = np.int64(it.rules)
    kept = 0
    filled = 0
    while filled < size and rules[at + filled].item != 0:
        e = rules[at + filled]
        e.item = st.becomes[e.item]
        if e.item == 0:
            it.seq_sum = max(it.seq_sum - e.seq, np.float32(0))
            it.next_sum = max(it.next_sum - e.next, np.float32(0))
        else:
            if kept < filled:
                _copy(st, at + filled, at + kept)
            kept += 1
        filled += 1
    for c in range(kept, filled):
        rules[at + c].item = 0


@njit(cache=True)
def has_rule_to(st: State, a: int, flag: int) -> bool:
    """Whether one of the best rules of item ``a`` is to an item with this flag.

    No item has any where the tables of rules are not used.
    """
    if a >= len(st.items):
        return False
    it = st.items[a]
    for c in range(min(RULE_SLABS[it.rules_slab], FEW_RULES)):
        b = st.rules[it.rules + c].item
        if b and st.becomes[b] and st.stats[b].flags & flag:
            return True
    return False


def _shorten(lists: NDArray[Any], items: NDArray[Any], size: int) -> NDArray[Any]:
    """Keep the best rules."""
    return lists[:, :size]


RULES = Table(
    "rules",
    RULE,
    (_rule_entries,),
    Kept.ARENA,
    forget=Forget(_forget, places="items", cost=8),
    lists=Lists("items", "rules", "rules_slab", RULE_SLABS, _shorten),
)


@njit(cache=True)
def _larger_slab(st: State, slab: int) -> int:
    """Return the place of a slab, if need be at the cost of a longer list; -1 if there is none."""
    at = take(st.rule_words, 4, st.rules_meta, RULE_SLABS, slab)
    if at < 0 and slab + 1 < len(RULE_SLABS):
        rows = st.counters[0].rows
        row = longer_list(st.rules_meta, st.items.rules_slab, rows, slab)
        if row > 0:  # it keeps its best rules, which come first
            other = st.items[row]
            size = RULE_SLABS[other.rules_slab]
            other.rules_slab -= 1
            give_rest(
                st.rule_words, 4, st.rules_meta, RULE_SLABS, other.rules_slab, other.rules, size
            )
            at = take(st.rule_words, 4, st.rules_meta, RULE_SLABS, slab)
    return int(at)


@njit(cache=True)
def _grow(st: State, a: int) -> bool:
    """Move the list of item ``a`` to the next larger slab; return False if there is none."""
    it = st.items[a]
    slab = it.rules_slab + 1
    if slab == len(RULE_SLABS):
        return False
    at = _larger_slab(st, slab)
    if at < 0:
        return False
    filled = RULE_SLABS[slab - 1]
    for i in range(filled):
        _copy(st, it.rules + i, at + i)
    for i in range(filled, RULE_SLABS[slab]):
        st.rules[at + i].item = 0
    if slab > 1:
        give(st.rule_words, 4, st.rules_meta, slab - 1, it.rules)
    it.rules = at
    it.rules_slab = slab
    return True


@njit(cache=True)
def add_rule(st: State, a: int, b: int, seq: float, cov: float, direct: float) -> None:
    """Add weights to the entry of item ``b`` in the list of item ``a``."""
    it = st.items[a]
    rules = st.rules
    cap = RULE_SLABS[it.rules_slab]
    c = 0
    while c < cap and rules[it.rules + c].item != b and rules[it.rules + c].item != 0:
        c += 1
    if c == cap and not _grow(st, a):
        if cap == 0:
            return
        c = cap - 1  # the new item inherits half of the weakest entry: a rising one can stay
        e = rules[it.rules + c]
        e.item = b
        e.seq *= 0.5
        e.cov *= 0.5
        e.next *= 0.5
    at = np.int64(it.rules)
    e = rules[at + c]
    if e.item == 0:
        e.item = b
        e.seq = 0
        e.cov = 0
        e.next = 0
    w_seq = e.seq + seq
    w_cov = e.cov + cov
    w_next = e.next + direct
    total = w_seq + w_cov + w_next
    while c > 0:
        d = rules[at + c - 1]
        if d.seq + d.cov + d.next >= total:
            break
        _copy(st, at + c - 1, at + c)
        c -= 1
    e = rules[at + c]
    e.item = b
    e.seq = w_seq
    e.cov = w_cov
    e.next = w_next


@njit(cache=True)
def _link(st: State, a: int, b: int, distance: int) -> None:
    """Learn that item ``b`` came ``distance`` steps after item ``a``."""
    direct = 1.0 if distance == 1 else 0.0
    st.items[a].next_sum += direct
    if a != b:
        weight = 1.0 / distance
        st.items[a].seq_sum += weight
        add_rule(st, a, b, weight, 1.0, direct)
        add_rule(st, b, a, 0.0, 1.0, 0.0)
    elif direct > 0:
        add_rule(st, a, b, 0.0, 0.0, direct)


@njit(cache=True)
def _learn(st: State) -> None:
    """Make rules from the click and the steps before it; for a late click, also those after it."""
    click = st.click[0]
    place, row = click.place, click.row
    kept, first = items_of(st, click.slot)
    for u in range(max(0, place - RULE_WINDOW), place):
        if kept[first + u] != 0:
            _link(st, kept[first + u], row, place - u)
    for u in range(place + 1, min(np.int64(st.sessions[click.slot].n), place + 1 + RULE_WINDOW)):
        if kept[first + u] != 0:
            _link(st, row, kept[first + u], u - place)


@njit(cache=True, inline="always")
def _of_others(total: float, own: float) -> np.float32:
    """Return what shares are taken of: a sum less what the session being answered has added to it.

    It may have added more than there is. Entries that make room bequeath half of their weight, and
    the sum loses that when their heirs leave.
    """
    return max(np.float32(total - own), np.float32(0)) + PRIOR


@njit(cache=True, fastmath=True)
def follow(st: State, a: int, w: float, n: int, read: int, column: int) -> int:
    """Add the first ``read`` rules of item ``a`` to two columns; return the pool's size.

    The first column gets sequential weights as shares of the item's total, the second co-visits as
    a damped cosine; both are multiplied by ``w``.
    """
    items = st.items
    it = items[a]
    size = min(read, RULE_SLABS[it.rules_slab])
    at = np.int64(it.rules)
    for c in range(size):
        prefetch(items, st.rules[at + c].item)
    f_seq = np.float32(w) / _of_others(it.seq_sum, st.own_links[OWN_SEQ])
    f_cov = np.float32(w) * it.damp
    for c in range(size):
        e = st.rules[at + c]
        if e.item == 0:
            break
        p, n = place_in_pool(st, e.item, n)
        st.score[p, column] += f_seq * e.seq
        st.score[p, column + 1] += f_cov * e.cov * items[e.item].damp
    return n


@njit(cache=True, fastmath=True)
def _sum_own_links(st: State, a: int) -> None:
    """Sum up what the session being answered has added to the rules of item ``a``."""
    kept, first, n = own_steps(st)
    seq = np.float32(0)
    direct = np.float32(0)
    for i in range(n):
        if kept[first + i] != a:
            continue
        for j in range(i + 1, min(n, i + 1 + RULE_WINDOW)):
            b = kept[first + j]
            if b != 0 and b != a:
                seq += np.float32(1) / (j - i)
            if b != 0 and j == i + 1:
                direct += np.float32(1)
    st.own_links[OWN_SEQ] = seq
    st.own_links[OWN_NEXT] = direct


@njit(cache=True, fastmath=True)
def _leave_own_out(st: State, a: int, w: float, n_pool: int, column: int) -> None:
    """Subtract what the session itself has added to the rules of item ``a`` from the scores.

    Otherwise its items would score for having been clicked together in this very session, which
    says nothing about what comes next.
    """
    kept, first, n = own_steps(st)
    it = st.items[a]
    f_seq = np.float32(w) / _of_others(it.seq_sum, st.own_links[OWN_SEQ])
    f_cov = np.float32(w) * it.damp
    for i in range(n):
        if kept[first + i] != a:
            continue
        for j in range(max(0, i - RULE_WINDOW), min(n, i + 1 + RULE_WINDOW)):
            b = kept[first + j]
            if b == 0 or b == a:
                continue
            p = find_in_pool(st, b, n_pool)
            if p < 0:
                continue
            r = st.score[p]
            if j > i:
                r[column + SEQ] = max(r[column + SEQ] - f_seq / np.float32(j - i), np.float32(0))
            r[column + COV] = max(r[column + COV] - f_cov * st.items[b].damp, np.float32(0))


@njit(cache=True, fastmath=True)
def _last_item(st: State, a: int, n: int, column: int) -> None:
    """Set the columns of the last item alone, right after its rules were added."""
    it = st.items[a]
    size = min(RULE_READ, RULE_SLABS[it.rules_slab])
    f = np.float32(1) / _of_others(it.next_sum, st.own_links[OWN_NEXT])
    for c in range(size):
        e = st.rules[it.rules + c]
        if e.item == 0:
            break
        r = st.score[find_in_pool(st, e.item, n)]
        r[column + SEQ1] = r[column + SEQ]
        r[column + COV1] = r[column + COV]
        r[column + NEXT] = f * e.next
    kept, first, m = own_steps(st)
    for i in range(m - 1):
        if kept[first + i] == a and kept[first + i + 1] != 0:
            p = find_in_pool(st, kept[first + i + 1], n)
            if p >= 0:
                st.score[p, column + NEXT] = max(st.score[p, column + NEXT] - f, np.float32(0))


@njit(cache=True, fastmath=True)
def _second_item(st: State, a: int, n: int, column: int, fact: int) -> None:
    """Set the facts of the second last item alone, right after its rules were added."""
    it = st.items[a]
    for c in range(min(RULE_READ, RULE_SLABS[it.rules_slab])):
        e = st.rules[it.rules + c]
        if e.item == 0:
            break
        r = st.score[find_in_pool(st, e.item, n)]
        r[fact + SEQ2] = np.float32(2) * (r[column + SEQ] - r[column + SEQ1])
        r[fact + COV2] = np.float32(2) * (r[column + COV] - r[column + COV1])


@njit(cache=True, fastmath=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Follow the rules of the latest items."""
    n_query, n = st.request[0].n_query, st.found[0].pool_size
    for q in range(min(n_query, RULE_ITEMS)):
        a = st.query[n_query - 1 - q]
        if a != 0:
            _sum_own_links(st, a)
            n = follow(st, a, 0.5**q, n, RULE_READ, column + SEQ)
            _leave_own_out(st, a, 0.5**q, n, column)
            if q == 0:
                _last_item(st, a, n, column)
            elif q == 1:
                _second_item(st, a, n, column, fact)
    st.own_links[:] = 0
    st.found[0].pool_size = n


SOURCE = Source(
    "rules and co-visits",
    columns=(
        Column("seq", "rules", 0.93, -0.17),
        Column("cov", "covisitation", 0.78, -0.52),
        Column("next", "rules", -0.43, 1.32, part="direct successors"),
        Column("seq1", "rules", -0.68, 0.16),
        Column("cov1", "covisitation", -0.39, 0.50),
    ),
    facts=("seq2", "cov2"),
    names_at_most=RULE_ITEMS * RULE_READ,
    retrieve=_retrieve,
    learn=_learn,
    tables=(
        RULES,
        Table("rule_words", np.int32, (), view_of="rules"),
        meta_table(RULES),
        Table("own_links", np.float32, (2,)),
    ),
)
