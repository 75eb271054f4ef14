"""Popularity by context: what is clicked more where the visitor is than elsewhere.

For each value of the context, such as a country, the decayed counts of the items that are clicked
most there. A page without a session begins with the items of

    log p(i) + sum over values v of log((c_v(i) + PRIOR p(i)) / ((C_v + PRIOR) p(i))),

p(i) being an item's share of all clicks, c_v(i) its clicks under a value, C_v all clicks under it:
naive Bayes over the values, each shrunk towards the popularity everywhere: a value with few clicks
leaves the page as it is. One with many that tells nothing (which device it is, mostly) adds noise
for items with few clicks: it costs some of what another value gives (`evaluation.first_pages`).

Plain Python: a click that has a context costs microseconds here, one without costs nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.memory.sharded_dict import ShardedDict
from online_models.memory.table import Arrays
from online_models.sources.popularity import DECAY_LONG

Said = tuple[str, ...]
"""What is said of a context, each part in its place; empty where nothing is."""

PLACES = 3
"""Parts of a context that are counted: device, country and channel."""

MOST_VALUES = 64
"""Values of each part that are told apart; a new one replaces that with the fewest clicks."""

MOST_ITEMS = 128
"""Items of a value that are counted: half of those that are kept until the next pruning."""

PRIOR = 30.0
"""Clicks that the popularity everywhere counts as much as, under each value: of 30, 100 and 300 the
best on the first half of trivago's log (`evaluation.first_pages`), 1.55, 1.50 and 1.23 % HR@20."""

POPULAR_READ = 256
"""The most popular items everywhere that take part in a page."""

SAME_SHARE, SAME_CLICKS = 1_000, 1_000
"""What a page begins with is used again until clicks have grown by a thousandth, or by a thousand:
to find it takes a millisecond, ten times as long as the rest of the answer."""

OPENINGS = 512
"""Contexts whose pages are kept; a further one takes the place of the one found longest ago."""

ENTRY_BYTES = 240
"""What the count of an item under a value takes, with an id of 16 bytes."""

MOST_BYTES = PLACES * MOST_VALUES * 2 * MOST_ITEMS * ENTRY_BYTES + OPENINGS * 8 * (
    POPULAR_READ + PLACES * 2 * MOST_ITEMS
)
"""What all of it may take."""


class _Value:
    """The clicks under one value of a context; a count is ``exp(key - clock / DECAY_LONG)``."""

    __slots__ = ("items", "key")

    def __init__(self) -> None:
        self.key = -math.inf
        self.items: dict[str, float] = {}


class ContextCounts:
    """Decayed counts of clicks by the values of their contexts.

    Examples
    --------
    >>> counts = ContextCounts()
    >>> for clock in range(3):
    ...     counts.learn(("mobile", "DE"), "a", clock)
    >>> [(round(total), sorted(items)) for total, items in counts.under(("", "DE"), 3)]
    [(3, ['a'])]
    """

    def __init__(self) -> None:
        self._values: list[dict[str, _Value]] = [{} for _ in range(PLACES)]
        self._openings: OrderedDict[Said, tuple[int, NDArray[np.int64]]] = OrderedDict()

    def kept_opening(self, said: Said, clock: int) -> NDArray[np.int64] | None:
        """Return the rows that were found for a context, None if that is too long ago."""
        found_at, rows = self._openings.get(said, (-SAME_CLICKS - 1, None))
        return rows if clock - found_at <= min(clock // SAME_SHARE, SAME_CLICKS) else None

    def keep_opening(self, said: Said, clock: int, rows: NDArray[np.int64]) -> None:
        """Keep the rows that a page begins with in a context."""
        self._openings.pop(said, None)
        self._openings[said] = clock, rows
        if len(self._openings) > OPENINGS:
            self._openings.popitem(last=False)

    def forget_openings(self) -> None:
        """Use no rows again: their items may have left."""
        self._openings.clear()

    def learn(self, said: Said, item_id: str, clock: int) -> None:
        """Count a click on an item under what is said of its context; ``clock``: clicks before."""
        now = clock / DECAY_LONG
        for place, text in enumerate(said[:PLACES]):
            if text:
                value = self._values[place].get(text) or self._begin(place, text)
                value.key = _raised(value.key, now)
                value.items[item_id] = _raised(value.items.get(item_id, -math.inf), now)
                if len(value.items) > 2 * MOST_ITEMS:
                    _prune(value)

    def _begin(self, place: int, text: str) -> _Value:
        values = self._values[place]
        if len(values) >= MOST_VALUES:
            # All decay alike, so the keys tell which has the fewest.
            del values[min(values, key=lambda name: values[name].key)]
        value = values[text] = _Value()
        return value

    def under(self, said: Said, clock: int) -> list[tuple[float, dict[str, float]]]:
        """Return the clicks under each known value, and the keys of its items; do not change it."""
        now = clock / DECAY_LONG
        found = []
        for place, text in enumerate(said[:PLACES]):
            value = self._values[place].get(text) if text else None
            if value is not None:
                found.append((math.exp(value.key - now), value.items))
        return found

    def dump(self) -> Iterator[list[Any]]:
        """Yield all counts as plain lists: of a value (item: empty), then of its items."""
        for place, values in enumerate(self._values):
            for text, value in values.items():
                yield [place, text, "", value.key]
                for item_id, key in value.items.items():
                    yield [place, text, item_id, key]

    def load(self, rows: Iterable[list[Any]]) -> None:
        """Load what `dump` has yielded."""
        for place, text, item_id, key in rows:
            value = self._values[place].setdefault(text, _Value())
            if item_id:
                value.items[item_id] = key
            else:
                value.key = key


def opening(
    counts: ContextCounts, said: Said, arrays: Arrays, rows: ShardedDict[int]
) -> NDArray[np.int64]:
    """Return the rows that a page without a session begins with, best first.

    Parameters
    ----------
    counts
        The clicks by context.
    said
        What is said of the visitor's context.
    arrays, rows
        The tables of the models, and the row of each item.

    Returns
    -------
    NDArray
        Rows (n,) int64; n = 0 if no value is known.
    """
    clock, said = int(arrays["counters"]["clock"][0]), said[:PLACES]
    kept = counts.kept_opening(said, clock)
    if kept is not None:
        return kept
    values = counts.under(said, clock)
    if not values:
        return np.zeros(0, np.int64)
    popular = arrays["popular"][: min(int(arrays["counters"]["popular"][0]), POPULAR_READ)]
    listed = [np.array(rows.values_of(items, 0), np.int64) for _, items in values]
    found = np.unique(np.concatenate([popular, *listed]))
    found = found[found > 0]  # items that have left are counted until they are pruned
    now = clock / DECAY_LONG
    share = _shares(arrays, found, clock)
    score = np.log(share)
    for (total, items), at in zip(values, listed, strict=True):
        of_value = np.zeros(len(found))
        there = at > 0
        keys = np.fromiter(items.values(), np.float64, len(items))
        of_value[np.searchsorted(found, at[there])] = np.exp(keys[there] - now)
        score += np.log((of_value / share + PRIOR) / (total + PRIOR))
    best = found[np.argsort(-score, kind="stable")]
    counts.keep_opening(said, clock, best)
    return best


def _shares(arrays: Arrays, rows: NDArray[np.int64], clock: int) -> NDArray[np.float64]:
    """Return the share of all clicks that each item has; half a click at least.

    They decay at the rate of popularity, which a preset may have set to another one than that here.
    """
    stats, decay = arrays["stats"], float(arrays["rates"]["long"][0])
    now = clock / decay
    clicks = np.where(stats["clicks"][rows] > 0, np.exp(stats["long"][rows] - now), 0.0)
    return np.maximum(clicks, 0.5) / max(decay * -math.expm1(-now), 1.0)


def _raised(key: float, now: float) -> float:
    """Return the key of a count that is one higher."""
    return math.log(math.exp(key - now) + 1.0) + now


def _prune(value: _Value) -> None:
    """Keep the items that are clicked most; of equal ones, those that came first."""
    best: Sequence[tuple[str, float]] = sorted(value.items.items(), key=lambda item: -item[1])
    value.items = dict(best[:MOST_ITEMS])
