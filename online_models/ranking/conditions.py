"""Conditions on items, and the rows that fulfil them as bits, kept for who asks again.

What depends on the visitor who asks (a segment, say) is decided before: a condition here is one on
items alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit

from online_models.memory.bits import Words, put_bit, words
from online_models.memory.state import State
from online_models.memory.table import Arrays, Table
from online_models.tables import facts
from online_models.tables.facts import Facts

MASKS = 64
"""Conditions whose rows are kept; the one that was used longest ago makes room."""

MOST_LOOKED_AGAIN = 32
"""Rows with a change that are looked at one by one, in some 5 us each; where there are more, all
rows of a condition are found anew."""

TABLES = (Table("condition_masks", np.int64, (MASKS, words)),)
"""The rows that fulfil a condition, by its place."""


@dataclass(frozen=True, slots=True)
class HasFact:
    """The item has one of some facts (`tables.facts`)."""

    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InRange:
    """A number of the item is within bounds, which are included."""

    name: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of some conditions hold; of none, this holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of some conditions holds; of none, this does not hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A condition does not hold."""

    condition: Condition


Condition = HasFact | InRange | AllOf | AnyOf | Not

EVERYTHING, NOTHING = AllOf(()), AnyOf(())
"""Conditions that always hold, and never."""


def whole_condition(
    categories: Collection[str], kinds: Collection[str], condition: Condition | None
) -> Condition:
    """Return one condition for the parts of a filter, each of which narrows it; empty ones do not.

    >>> whole_condition((), ("film",), None) == HasFact((facts.kind("film"),))
    True
    """
    parts: list[Condition] = []
    if categories:
        parts.append(HasFact(tuple(map(facts.category, categories))))
    if kinds:
        parts.append(HasFact(tuple(map(facts.kind, kinds))))
    if condition is not None:
        parts.append(condition)
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def find_rows(condition: Condition, index: Facts, bits: Words) -> None:
    """Set ``bits`` to the rows that fulfil a condition; rows without an item may be among them."""
    match condition:
        case HasFact(wanted):
            bits[:] = 0
            for fact in wanted:
                index.rows_with(fact, bits)
        case InRange(name, low, high):
            bits[:] = 0
            index.rows_between(name, low, high, bits)
        case Not(other):
            find_rows(other, index, bits)
            np.invert(bits, out=bits)
        case AllOf(conditions) | AnyOf(conditions):
            every = isinstance(condition, AllOf)
            bits[:] = -1 if every else 0
            combine = np.bitwise_and if every else np.bitwise_or
            more = np.empty_like(bits)
            for other in conditions:
                find_rows(other, index, more)
                combine(bits, more, out=bits)


def fulfils(
    condition: Condition, index: Facts, has: Collection[int], numbers: Mapping[str, float]
) -> bool:
    """Whether an item fulfils a condition; what it has is as `Facts.of` returns it."""
    match condition:
        case HasFact(wanted):
            return any(index.number(fact) in has for fact in wanted)
        case InRange(name, low, high):
            return name in numbers and low <= numbers[name] <= high
        case Not(other):
            return not fulfils(other, index, has, numbers)
        case AllOf(conditions):
            return all(fulfils(other, index, has, numbers) for other in conditions)
        case AnyOf(conditions):
            return any(fulfils(other, index, has, numbers) for other in conditions)


@dataclass(slots=True)
class _Mask:
    place: int
    version: int


class Masks:
    """The rows of the conditions that were asked for last.

    Parameters
    ----------
    arrays
        The models' tables.
    index
        What the catalogue says of their items.
    """

    def __init__(self, arrays: Arrays, index: Facts) -> None:
        self._bits = arrays["condition_masks"]
        self._index = index
        self._masks: OrderedDict[Condition, _Mask] = OrderedDict()

    def place(self, condition: Condition) -> int:
        """Return the place of a condition's rows, which are those of now."""
        mask = self._masks.get(condition)
        if mask is None:
            n = len(self._masks)
            place = n if n < MASKS else self._masks.popitem(last=False)[1].place
            mask = self._masks[condition] = _Mask(place, -1)
        else:
            self._masks.move_to_end(condition)
        if mask.version != self._index.version:
            self._renew(condition, mask)
        return mask.place

    def _renew(self, condition: Condition, mask: _Mask) -> None:
        bits, index = self._bits[mask.place], self._index
        changed = None if mask.version < 0 else index.changed_since(mask.version)
        if changed is None or len(changed) > MOST_LOOKED_AGAIN:
            find_rows(condition, index, bits)
        else:
            for row in set(changed):
                has, numbers = index.of(row)
                put_bit(bits, row, fulfils(condition, index, has, numbers))
        mask.version = index.version


@njit(cache=True, inline="always")
def in_mask(st: State, row: int) -> bool:
    """Whether a row fulfils the condition of the request, if it has one."""
    place = st.request[0].mask
    return place < 0 or (st.condition_masks[place, row >> 6] >> (row & 63)) & 1 != 0
