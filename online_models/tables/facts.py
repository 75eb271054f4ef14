"""What the catalogue says of items, found by what it says: an inverted index of facts and numbers.

A fact is a category, a kind, or an attribute with its value; each has the set of its items' rows. A
number, such as the price, has the rows of its items in its order. Both are kept while the catalogue
changes, so that the items that fulfil a condition are found without a look at all others.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from online_models.memory.bits import Words, put_bit, put_bits
from online_models.tables.categories import Categories

MOST_FACTS, MOST_NUMBERS = 1 << 20, 1_024
"""Different facts, and names of numbers, that items may have at a time; no item is found by further
ones. A fact takes some 300 bytes besides those of its items."""

BUCKET = 1_024
"""Rows that are moved at most when one is put into the order of a number."""

REMEMBERED = 1_024
"""Latest rows with a change; who has seen no later one looks at all again."""

_END = "\0"
"""Ends a part of a fact's name: no text of the catalogue contains it."""


def category(name: str) -> str:
    """Return the fact that an item is in a category."""
    return f"c{_END}{name}"


def kind(name: str) -> str:
    """Return the fact that an item is of a kind."""
    return f"k{_END}{name}"


def attribute(name: str, value: str) -> str:
    """Return the fact that an attribute of an item has a value."""
    return f"a{_END}{name}{_END}{value}"


def facts_of(
    categories: Sequence[str], attributes: Mapping[str, str] | None, its_kind: str
) -> list[str]:
    """Return the facts of an item, each once."""
    facts = [category(name) for name in categories]
    facts += [attribute(name, value) for name, value in (attributes or {}).items()]
    if its_kind:
        facts.append(kind(its_kind))
    return list(dict.fromkeys(facts))


class RowSet:
    """A set of rows: in order while they are few, as bits where these take less room.

    Parameters
    ----------
    words
        Words of a set as bits.

    Examples
    --------
    >>> rows, bits = RowSet(1), np.zeros(1, np.int64)
    >>> for row in (5, 3, 4):
    ...     rows.add(row)
    >>> rows.discard(4)
    >>> rows.put_into(bits)
    >>> len(rows), bits.tolist()
    (2, [40])
    """

    __slots__ = ("_bits", "_n", "_rows", "_words")

    def __init__(self, words: int) -> None:
        self._words = words
        self._n = 0
        self._rows = array("i")
        self._bits: Words | None = None

    def __len__(self) -> int:
        return self._n

    def add(self, row: int) -> None:
        """Put a row into the set, which has it not."""
        self._n += 1
        if self._bits is not None:
            put_bit(self._bits, row, True)
            return
        insort(self._rows, row)
        if self._n > 2 * self._words:
            self._bits = np.zeros(self._words, np.int64)
            put_bits(self._bits, np.frombuffer(self._rows, np.int32), True)
            self._rows = array("i")

    def discard(self, row: int) -> None:
        """Take a row out of the set, which has it."""
        self._n -= 1
        if self._bits is None:
            del self._rows[bisect_left(self._rows, row)]
            return
        put_bit(self._bits, row, False)
        if self._n < self._words // 2:
            places = np.unpackbits(self._bits.view(np.uint8), bitorder="little")
            self._rows = array("i", np.flatnonzero(places).astype(np.int32).tobytes())
            self._bits = None

    def put_into(self, bits: Words) -> None:
        """Add the rows to a set of bits."""
        if self._bits is not None:
            np.bitwise_or(bits, self._bits, out=bits)
        elif self._n:
            put_bits(bits, np.frombuffer(self._rows, np.int32), True)


class Order:
    """Rows in the order of a number.

    Examples
    --------
    >>> prices, bits = Order(1), np.zeros(1, np.int64)
    >>> for row, price in ((1, 5.0), (2, 7.0), (3, 5.0)):
    ...     prices.add(price, row)
    >>> prices.put_into(bits, 5.0, 6.0)
    >>> bits.tolist()
    [10]
    """

    def __init__(self, words: int) -> None:
        self._all = RowSet(words)
        self._firsts: list[tuple[float, int]] = []
        self._buckets: list[tuple[array[float], array[int]]] = []

    def __len__(self) -> int:
        return len(self._all)

    def add(self, value: float, row: int) -> None:
        """Put a row into the order, which has it not."""
        self._all.add(row)
        if not self._buckets:
            self._firsts.append((value, row))
            self._buckets.append((array("d"), array("i")))
        which = max(bisect_right(self._firsts, (value, row)) - 1, 0)
        values, rows = self._buckets[which]
        at = _place(values, rows, value, row)
        values.insert(at, value)
        rows.insert(at, row)
        if at == 0:
            self._firsts[which] = value, row
        if len(rows) > BUCKET:
            half = len(rows) // 2
            self._firsts.insert(which + 1, (values[half], rows[half]))
            self._buckets.insert(which + 1, (values[half:], rows[half:]))
            del values[half:], rows[half:]

    def discard(self, value: float, row: int) -> None:
        """Take a row out of the order, which has it at this value."""
        self._all.discard(row)
        which = bisect_right(self._firsts, (value, row)) - 1
        values, rows = self._buckets[which]
        at = _place(values, rows, value, row)
        del values[at], rows[at]
        if not rows:
            del self._firsts[which], self._buckets[which]
        elif at == 0:
            self._firsts[which] = values[0], rows[0]

    def put_into(self, bits: Words, low: float, high: float) -> None:
        """Add the rows whose values are ``low`` to ``high`` to a set of bits that is empty."""
        first = max(bisect_right(self._firsts, (low, -1)) - 1, 0)
        end = bisect_right(self._firsts, (high, 1 << 31))
        if 2 * (end - first) <= len(self._buckets):
            self._put(bits, first, end, low, high, there=True)
            return
        self._all.put_into(bits)
        self._put(bits, 0, first + 1, -np.inf, np.nextafter(low, -np.inf), there=False)
        last = max(end - 1, 0)
        after = np.nextafter(high, np.inf)
        self._put(bits, last, len(self._buckets), after, np.inf, there=False)

    def _put(
        self, bits: Words, first: int, end: int, low: float, high: float, *, there: bool
    ) -> None:
        for values, rows in self._buckets[first:end]:
            inside = slice(bisect_left(values, low), bisect_right(values, high))
            if inside.start < inside.stop:
                put_bits(bits, np.frombuffer(rows, np.int32)[inside], there)


def _place(values: array[float], rows: array[int], value: float, row: int) -> int:
    low, high = bisect_left(values, value), bisect_right(values, value)
    return bisect_left(rows, row, low, high)


class Facts:
    """The index, and of each row what it is found by.

    Parameters
    ----------
    words
        Words of a set of rows as bits.

    Examples
    --------
    >>> facts = Facts(1)
    >>> facts.put(3, [category("shoes")], {"price": 20.0})
    >>> facts.put(4, [category("shoes"), kind("product")], {})
    >>> bits = np.zeros(1, np.int64)
    >>> facts.rows_with(category("shoes"), bits)
    >>> bits.tolist()
    [24]
    >>> facts.clear(4)
    >>> facts.changed_since(1), facts.changed_since(3)
    ([4, 4], [])
    """

    def __init__(self, words: int) -> None:
        self.words = words
        self._names = Categories(MOST_FACTS)
        self._sets: list[RowSet | None] = [None]
        self._orders: dict[str, Order] = {}
        self._of: list[bytes] = []
        """The numbers of a row's facts, 4 bytes each."""
        self._measured: list[tuple[tuple[str, float], ...]] = []
        """The numbers of a row by name."""
        self.version = 0
        """Changes so far."""
        self._latest: deque[int] = deque(maxlen=REMEMBERED)

    def put(self, row: int, facts: Sequence[str], numbers: Mapping[str, float]) -> None:
        """Set what a row is found by; ``facts`` are those of `facts_of`."""
        while len(self._of) <= row:
            self._of.append(b"")
            self._measured.append(())
        before = _numbers(self._of[row])
        taken = self._names.take(facts)
        if taken != before:
            kept = set(taken).intersection(before)
            for number in before:
                if number not in kept:
                    self._take_out(number, row)
            for number in taken:
                if number not in kept:
                    self._put_in(number, row)
            self._of[row] = array("i", taken).tobytes()
        self._names.release(before)
        if self._measure(row, numbers) or taken != before:
            self.version += 1
            self._latest.append(row)

    def clear(self, row: int) -> None:
        """Let nothing find a row."""
        if row < len(self._of) and (self._of[row] or self._measured[row]):
            self.put(row, (), {})

    def _put_in(self, number: int, row: int) -> None:
        while len(self._sets) <= number:
            self._sets.append(None)
        rows = self._sets[number]
        if rows is None:
            rows = self._sets[number] = RowSet(self.words)
        rows.add(row)

    def _take_out(self, number: int, row: int) -> None:
        rows = self._sets[number]
        assert rows is not None
        rows.discard(row)
        if not len(rows):
            self._sets[number] = None

    def _measure(self, row: int, numbers: Mapping[str, float]) -> bool:
        """Set the numbers of a row; return whether they have changed."""
        measured = dict(self._measured[row])
        if measured == numbers:
            return False
        for name, value in measured.items():
            order = self._orders[name]
            order.discard(value, row)
            if not len(order):
                del self._orders[name]
        held = []
        for name, value in numbers.items():
            if name not in self._orders and len(self._orders) >= MOST_NUMBERS:
                continue
            self._orders.setdefault(name, Order(self.words)).add(float(value), row)
            held.append((name, float(value)))
        self._measured[row] = tuple(held)
        return True

    # ---- what is found

    def rows_with(self, fact: str, bits: Words) -> None:
        """Add the rows with a fact to a set of bits."""
        rows = self._sets[number] if (number := self.number(fact)) else None
        if rows is not None:
            rows.put_into(bits)

    def rows_between(self, name: str, low: float, high: float, bits: Words) -> None:
        """Add the rows with a number within bounds to a set of bits that is empty."""
        if name in self._orders and low <= high:
            self._orders[name].put_into(bits, low, high)

    def number(self, fact: str) -> int:
        """Return the number of a fact, 0 if no item has it."""
        return self._names.numbers.get(fact, 0)

    def of(self, row: int) -> tuple[list[int], dict[str, float]]:
        """Return the numbers of a row's facts, and its numbers by name."""
        if row >= len(self._of):
            return [], {}
        return _numbers(self._of[row]), dict(self._measured[row])

    def changed_since(self, version: int) -> list[int] | None:
        """Return the rows with a change after a version; None if that is too long ago."""
        changes = self.version - version
        if changes > len(self._latest):
            return None
        return [self._latest[-place] for place in range(1, changes + 1)]

    # ---- for tables of other limits

    def named(self) -> Iterator[tuple[int, list[str], dict[str, float]]]:
        """Yield the rows that are found by something, with what `put` was given of them."""
        names = {number: fact for fact, number in self._names.numbers.items()}
        for row, (raw, measured) in enumerate(zip(self._of, self._measured, strict=True)):
            if raw or measured:
                yield row, [names[number] for number in _numbers(raw)], dict(measured)


def _numbers(raw: bytes) -> list[int]:
    return array("i", raw).tolist()
