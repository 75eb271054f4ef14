"""Memory layout of the models: what is read together lies together.

Everything the models know sits in a few flat arrays that are allocated once, at their
limits. Zeroed pages cost nothing until they are touched, so a limit is not a price.
Row 0 of the item tables means "no item"; session slots hold their number plus one, so
that zero means "empty". The kernels get all arrays as one `State` (a numba structref):
a call from Python costs 0.6 us, against 7 us for a named tuple of 60 arrays.

Sizes and decays are those of the research prototype, chosen on validation splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.experimental import structref
from numpy.typing import NDArray

MAX_KEPT = 50
"""Steps that a session keeps; the oldest leave first."""

MAX_QUERY_ITEMS = MAX_KEPT
"""Latest items of a query that are read."""

INLINE_ITEMS = 10
"""Items of a session inside its own cache line; 96 % of shop sessions fit."""

SESSION_SLABS = np.array([0, 24, 52], np.int64)
RING_SLABS = np.array([0, 8, 32, 128, 512], np.int64)
RULE_SLABS = np.array([0, 8, 32, 128], np.int64)

QUERY_LATEST = 8
"""Latest different items of a session that look for neighbours."""

NEIGHBOURS = 100
"""Most similar sessions that vote."""

RULE_ITEMS = 3
"""Latest items of a session whose rules are followed."""

RULE_READ = 64
"""Entries read of each list of rules."""

RULE_WINDOW = 10
"""Steps back that a click makes rules with."""

HOPS, HOP_READ, SMALL_POOL = 8, 24, 600
"""Two hops: rules followed, entries read of each, only while the pool is smaller."""

PAIR_SUCCESSORS = 6
"""Successors kept of a pair of items."""

POPULAR = 1_024
"""Length of the lists of the most popular items."""

DECAY_LONG, DECAY_SHORT = 20_000.0, 2_000.0
"""Decay of popularity, in clicks."""

DECAY_PLACE, DECAY_AGE, DECAY_FRESH, DECAY_AFTER = 3.0, 20_000.0, 1_000.0, 1.5
"""Decay by place in a session (steps), by age of a session (sessions), after a match."""

POOL = 8_192
"""Items that the sources may name in one answer: 100 x 50 + 3 x 64 + 16 x 24 + 6 + 50."""

TOUCHED = 4_096
"""Sessions that the rings of one query may name: 8 x 512."""

MAX_CATEGORIES = 16
MAX_FILTER_CATEGORIES = 64
MAX_ANSWER = 512

DIMENSIONS, NEGATIVES, VECTOR_ITEMS = 64, 64, 10
"""Vectors: their length, negatives of a step, latest items of a session that are read."""

RECENT_CLICKS = 1 << 16
"""Clicks that negatives are drawn from."""

CANDIDATES, HIDDEN1, HIDDEN2 = 64, 48, 24
"""Ranker: candidates that it orders, units of its two hidden layers."""

REPLAY, REPLAY_CASES = 2, 2_000
"""Ranker: old cases learned again with each new one, and how many are held."""

MAX_FEATURES = 64

SHARES = 4_096
"""Categories that a session's shares are kept of; those beyond share a place with others."""

TOKENS, ITEM_TOKENS = 1 << 16, 16
"""Content: rows that the tokens of all items are hashed into, and tokens kept of an item."""

# Flags of an item.
DELETED, UNAVAILABLE, IN_CATALOGUE, CONFIRMED = 1, 2, 4, 8

# Counters in `State.ctr`: what was learned, and from 8 on the scratch of an answer.
CLOCK, NEXT_SESSION, ROWS, N_LONG, N_SHORT = range(5)
NEGATIVES_SEEN, RANDOM, STEPS, CASES_SEEN, CASES_SCORED, TOKENED = range(5, 11)
LEARNED_COUNTERS = 16
POOL_SIZE, REQUEST, SINK, TOUCHED_SESSIONS, N_CANDIDATES, MOVED, REPLACED, OWN_LEARNED = range(
    16, 24
)
N_LEFT_OUT = 24

# Columns of a pool row: scores of the sources, then facts about the session's own items.
KNN, AFTER, FLAT, FRESH, SEQ, COV, NEXT, SEQ1, COV1, PAIR, HOP_SEQ, HOP_COV = range(12)
SOURCES = 12
SEQ2, COUNT, AGO, COV2 = 12, 13, 14, 15

ITEM = np.dtype(
    [
        ("pool", "i4"),  # place in the pool of the running answer
        ("damp", "f4"),  # 1 / sqrt(clicks + 10): damps co-visits with popular items
        ("seq_sum", "f4"),  # sum of sequential weights that left this item
        ("next_sum", "f4"),  # direct successions that left this item
        ("rules", "i4"),  # first entry of its rules
        ("rules_slab", "i2"),
        ("ring_slab", "i2"),
        ("ring", "i4"),  # first entry of its ring of sessions
        ("sessions", "i4"),  # different sessions that turned to it
    ]
)
STAT = np.dtype(
    [
        ("clicks", "f4"),
        ("log_clicks", "f4"),  # log(1 + clicks)
        ("long", "f8"),  # log of popularity with long decay, plus clock / DECAY_LONG
        ("short", "f8"),  # the same with the short decay
        ("last", "i8"),  # clock of its last click
        ("flags", "i4"),
        ("at_long", "i4"),  # place in the list of popular items, plus one
        ("at_short", "i4"),
        ("first_session", "i4"),  # low bits of the number of the first session seen
        ("spare", "i4", (4,)),
    ]
)
SESSION = np.dtype(
    [
        ("number", "i8"),  # session number plus one
        ("n", "i2"),
        ("slab", "i2"),  # 0: the items lie inline
        ("at", "i4"),  # first entry in the arena
        ("norm", "f4"),  # 1 / sqrt(n + 2)
        ("sim", "f4"),  # scratch of an answer, zero outside it
        ("items", "i4", (INLINE_ITEMS,)),
    ]
)
SESSION_WORDS, SESSION_ITEMS_WORD = SESSION.itemsize // 4, 6
RULE = np.dtype([("item", "i4"), ("seq", "f4"), ("cov", "f4"), ("next", "f4")])
PAIRS = np.dtype(
    [
        ("key", "i8"),
        ("items", "i4", (PAIR_SUCCESSORS,)),
        ("weights", "f4", (PAIR_SUCCESSORS,)),
        ("spare", "i8"),
    ]
)

# Meta of a slab arena: heads of the free lists by slab size, then these two.
BUMP, LIMIT = 6, 7


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the models' memory.

    Parameters
    ----------
    max_items
        Items that may have a row.
    max_sessions
        Sessions kept, a power of two; newer ones overwrite the oldest.
    rules_per_item, ring_per_item
        Mean entries an item of the two arenas; single items may take up to 128 and 512.
    pairs
        Pairs of items with known successors, a power of two; a new pair overwrites the
        one with the same hash.
    provisional_share
        Share of the rows that items may take which are neither in the catalogue nor seen
        in two sessions. It keeps a robot's invented ids from filling the table.

    Notes
    -----
    `max_bytes` is what all of it takes at the limits. Pages that are not touched cost nothing:
    vectors where none are learned, content where there is no catalogue.
    """

    max_items: int = 1 << 18
    max_sessions: int = 1 << 20
    rules_per_item: int = 64
    ring_per_item: int = 64
    pairs: int = 1 << 20
    provisional_share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("max_sessions", "pairs"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        if not 1 <= self.max_items <= 1 << 27:
            raise ValueError(f"max_items must be 1..{1 << 27}, not {self.max_items}")

    @property
    def max_bytes(self) -> int:
        """Most bytes that the models may take.

        An item: 180 for its counts and categories, 532 for its vectors, 576 for its content,
        200 for its id in Python, and its share of the lists; a session 85, a pair 64; 70 MB
        for tokens, replayed cases and the scratch of an answer.
        """
        item = 180 + 532 + 576 + 200 + 16 * self.rules_per_item + 4 * self.ring_per_item
        return (self.max_items + 1) * item + self.max_sessions * 85 + self.pairs * 64 + 70_000_000


FIELDS = [
    *("items", "stats", "sessions", "session_words", "arena", "arena_meta", "rings", "ring_meta"),
    *("rules", "rule_words", "rule_meta", "pairs", "categories", "marks"),
    *("popular_long", "popular_short", "ctr", "weights", "near", "after", "old", "fresh"),
    *("score", "pool", "pool_score", "touched", "touched_place", "sim", "order", "query"),
    *("filter_categories", "answer", "answer_score", "scale", "root_scale", "weight_squares"),
    *("vectors_in", "vectors_out", "squares", "recent_clicks", "negatives", "hidden"),
    *("candidates", "features", "ranker", "mean", "variance", "old_cases", "old_sizes"),
    *("old_targets", "normal", "layer1", "layer2", "delta1", "delta2", "ranker_score"),
    *("gradient", "case_scores", "own_links", "moments", "moment", "shares"),
    *("moved", "item_tokens", "token_vectors", "token_squares", "token_sums", "left_out"),
    *("sort_keys", "sort_places"),
]


@structref.register
class _StateType(types.StructRef):
    def preprocess_fields(self, fields: list[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class State(structref.StructRefProxy):
    """All arrays of the models, by reference; fields are named in `FIELDS`."""

    def __new__(cls, *arrays: NDArray[np.generic]) -> State:
        """Bind the arrays, in the order of `FIELDS`."""
        return _bound(*arrays)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


structref.define_proxy(State, _StateType, FIELDS)


@njit(cache=True)
def _bound(*arrays: NDArray[np.generic]) -> State:
    """Numba's own constructor cannot be cached: each process would compile it for 2 s."""
    return State(*arrays)


def aligned(shape: int | tuple[int, ...], dtype: np.dtype[Any] | type | str) -> NDArray[np.generic]:
    """Zeros that begin at a cache line, on pages that are not touched yet."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(kind).reshape(shape)


def arena_meta(entries: int) -> NDArray[np.int64]:
    """Meta of an empty arena of so many entries."""
    meta = np.zeros(8, np.int64)
    meta[LIMIT] = entries
    return meta


def allocate(limits: Limits) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of empty models, by field of `State`."""
    rows = limits.max_items + 1
    ring_entries = rows * limits.ring_per_item
    rule_entries = rows * limits.rules_per_item
    # A session in 16 may outgrow its own line.
    arena_entries = max(limits.max_sessions // 16, 64) * int(SESSION_SLABS[-1])
    sessions = aligned(limits.max_sessions, SESSION)
    rules = aligned(rule_entries, RULE)
    distance = np.arange(4_096)
    return {
        "items": aligned(rows, ITEM),
        "stats": aligned(rows, STAT),
        "sessions": sessions,
        "session_words": sessions.view(np.int32),
        "arena": aligned(arena_entries, np.int32),
        "arena_meta": arena_meta(arena_entries),
        "rings": aligned(ring_entries, np.int32),
        "ring_meta": arena_meta(ring_entries),
        "rules": rules,
        "rule_words": rules.view(np.int32),
        "rule_meta": arena_meta(rule_entries),
        "pairs": aligned(limits.pairs, PAIRS),
        "categories": aligned((rows, MAX_CATEGORIES), np.int32),
        "marks": aligned(rows, np.int32),
        "popular_long": np.zeros(POPULAR, np.int32),
        "popular_short": np.zeros(POPULAR, np.int32),
        "ctr": np.zeros(32, np.int64),
        "weights": np.zeros(64, np.float32),
        "near": np.exp(-distance[:512] / DECAY_PLACE).astype(np.float32),
        "after": np.exp(-distance[:512] / DECAY_AFTER).astype(np.float32),
        "old": np.exp(-distance * 64 / DECAY_AGE).astype(np.float32),
        "fresh": np.exp(-distance[:1024] * 8 / DECAY_FRESH).astype(np.float32),
        "score": aligned((POOL, 16), np.float32),
        "pool": np.zeros(POOL, np.int32),
        "pool_score": np.zeros(POOL, np.float32),
        "touched": np.zeros(TOUCHED, np.int32),
        "touched_place": np.zeros(TOUCHED, np.int32),
        "sim": np.zeros(POOL, np.float32),
        "order": np.zeros(POOL, np.int32),
        "query": np.zeros(MAX_QUERY_ITEMS, np.int32),
        "filter_categories": np.zeros(MAX_FILTER_CATEGORIES, np.int32),
        "answer": np.zeros(MAX_ANSWER, np.int32),
        "answer_score": np.zeros(MAX_ANSWER, np.float32),
        "scale": np.zeros(16, np.float32),
        "root_scale": np.zeros(16, np.float32),
        "vectors_in": aligned((rows, DIMENSIONS), np.float32),
        "vectors_out": aligned((rows, DIMENSIONS), np.float32),
        "squares": aligned((rows, 4), np.float32),
        "recent_clicks": np.zeros(RECENT_CLICKS, np.int32),
        "negatives": np.zeros(NEGATIVES + 1, np.int32),
        "hidden": np.zeros((4, 128), np.float32),
        "candidates": np.zeros(CANDIDATES, np.int32),
        "own_links": np.zeros(2, np.float32),
        "moments": aligned((limits.max_sessions, 2), np.uint32),
        "moment": np.zeros(3, np.float32),
        "shares": np.zeros(SHARES, np.float32),
        "moved": np.zeros(rows + TOKENS, np.int32),
        "item_tokens": aligned((rows, ITEM_TOKENS), np.int32),
        "token_vectors": aligned((TOKENS, 2 * DIMENSIONS), np.float32),
        "token_squares": aligned((TOKENS, 4), np.float32),
        "token_sums": aligned((rows, 2 * DIMENSIONS), np.float32),
        "left_out": np.zeros(SOURCES + MAX_FEATURES, np.uint8),
        "sort_keys": np.zeros(MAX_ANSWER, np.float32),
        "sort_places": np.zeros(MAX_ANSWER, np.int32),
    }
