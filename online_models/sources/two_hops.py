"""Two hops of rules, where the other sources find few items: the rules of the next items."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.sources.rules import PRIOR, RULE_READ, RULE_SLABS, follow
from online_models.sources.source import Column, Source

HOP_ITEMS, HOPS, HOP_READ = 2, 8, 24
"""Latest items that are followed, rules followed from each, entries read of each of those."""

SMALL_POOL = 600
"""The source is used only while the pool has fewer items."""


@njit(cache=True, fastmath=True)
def _follow_twice(st: State, a: int, w: float, n: int, column: int) -> int:
    """Follow the rules of the best successors of item ``a``; return the pool's size."""
    it = st.items[a]
    size = min(RULE_READ, RULE_SLABS[it.rules_slab])
    at = np.int64(it.rules)
    total = PRIOR
    filled = 0
    while filled < size and st.rules[at + filled].item != 0:
        total += st.rules[at + filled].cov
        filled += 1
    for h in range(min(filled, HOPS)):
        e = st.rules[at + h]
        n = follow(st, e.item, np.float32(w) * e.cov / total, n, HOP_READ, column)
    return n


@njit(cache=True, fastmath=True)
def _retrieve(st: State, column: int, fact: int) -> None:
    """Follow the rules of the latest items for two hops, while the pool is small."""
    n_query, n = st.request[0].n_query, st.found[0].pool_size
    for q in range(min(n_query, HOP_ITEMS)):
        if st.query[n_query - 1 - q] != 0 and n < SMALL_POOL:
            n = _follow_twice(st, st.query[n_query - 1 - q], 0.5**q, n, column)
    st.found[0].pool_size = n


SOURCE = Source(
    "two hops",
    columns=(  # as `SEQ` and `COV` of `rules`, from what the latest items lead to
        Column("hop_seq", "rules", -0.91, 1.66),
        Column("hop_cov", "covisitation", -1.63, 2.09),
    ),
    names_at_most=HOP_ITEMS * HOPS * HOP_READ,
    retrieve=_retrieve,
)
