"""Sequential rules, co-visits and successors of pairs, as bounded sorted lists.

One list an item: for each other item the sequential weight (1 / distance in steps), the
number of co-visits and the number of direct successions, sorted by their sum; the last
entry makes room for a newcomer. Sequential rules as in Ludewig & Jannach, "Evaluation of
session-based recommendation algorithms", UMUAI 2018, made incremental.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.layout import PAIR_SUCCESSORS, RULE_SLABS, RULE_WINDOW, State
from online_models.memory.slabs import give, take


@njit(cache=True)
def _copy(st: State, source: int, target: int) -> None:
    e = st.rules[source]
    d = st.rules[target]
    d.item = e.item
    d.seq = e.seq
    d.cov = e.cov
    d.next = e.next


@njit(cache=True)
def _grow(st: State, a: int) -> bool:
    """Move the list of item ``a`` to the next larger slab; False if there is none."""
    it = st.items[a]
    slab = it.rules_slab + 1
    if slab == len(RULE_SLABS):
        return False
    at = take(st.rule_words, 4, st.rule_meta, RULE_SLABS, slab)
    if at < 0:
        return False
    filled = RULE_SLABS[slab - 1]
    for i in range(filled):
        _copy(st, it.rules + i, at + i)
    for i in range(filled, RULE_SLABS[slab]):
        st.rules[at + i].item = 0
    if slab > 1:
        give(st.rule_words, 4, st.rule_meta, slab - 1, it.rules)
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
        c = cap - 1  # the newcomer inherits half of the weakest: it may be a riser
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


@njit(cache=True, inline="always")
def pair_slot(st: State, a: int, b: int):  # type: ignore[no-untyped-def]
    """Return (place in the table of pairs, key) of two items in order."""
    key = (np.int64(a) << 32) | np.int64(b)
    mixed = np.int64(a) * 1000003 + np.int64(b) * 7919 + (np.int64(a) >> 5) * 31
    return mixed & (len(st.pairs) - 1), key


@njit(cache=True)
def add_pair(st: State, a: int, b: int, item: int) -> None:
    """Count ``item`` as the successor of the items ``a``, ``b``."""
    slot, key = pair_slot(st, a, b)
    p = st.pairs[slot]
    if p.key != key:
        p.key = key
        for c in range(PAIR_SUCCESSORS):
            p.items[c] = 0
            p.weights[c] = 0
    weakest = 0
    for c in range(PAIR_SUCCESSORS):
        if p.items[c] == item or p.items[c] == 0:
            p.items[c] = item
            p.weights[c] += 1
            return
        if p.weights[c] < p.weights[weakest]:
            weakest = c
    p.items[weakest] = item
    p.weights[weakest] = p.weights[weakest] * 0.5 + 1


@njit(cache=True)
def _link(st: State, a: int, b: int, distance: int) -> None:
    """Item ``b`` came ``distance`` steps after item ``a``."""
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
def learn_rules(st: State, kept, first: int, n: int, place: int) -> None:  # type: ignore[no-untyped-def]
    """The item at ``place`` of the ``n`` items from ``kept[first]`` makes its rules.

    A late step also makes rules with the steps after it.
    """
    b = kept[first + place]
    for u in range(max(0, place - RULE_WINDOW), place):
        if kept[first + u] != 0:
            _link(st, kept[first + u], b, place - u)
    for u in range(place + 1, min(n, place + 1 + RULE_WINDOW)):
        if kept[first + u] != 0:
            _link(st, b, kept[first + u], u - place)
    if place > 1 and kept[first + place - 2] != 0 and kept[first + place - 1] != 0:
        add_pair(st, kept[first + place - 2], kept[first + place - 1], b)
