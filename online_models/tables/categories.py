"""Numbers of the catalogue's categories, used again once no item has the category."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from online_models.memory.sharded_dict import ShardedDict

MOST_CATEGORIES = 1 << 16
"""Different categories that items may have at a time; further ones cannot be filtered by."""


class Categories:
    """Gives each category a number while an item has it.

    Parameters
    ----------
    most
        Different ones at a time; further ones get no number.

    Examples
    --------
    >>> categories = Categories()
    >>> categories.take(["shoes", "red"]), categories.take(["shoes"])
    ([1, 2], [1])
    >>> categories.release([1, 2])
    >>> dict(categories.numbers)
    {'shoes': 1}
    >>> categories.take(["blue"])
    [2]
    """

    def __init__(self, most: int = MOST_CATEGORIES) -> None:
        self._most = most
        self.numbers = ShardedDict[int]()
        self._names: list[str] = [""]
        self._items: list[int] = [0]
        self._free: list[int] = []

    def take(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of an item's categories; it has them until `release`."""
        numbers = []
        for name in names:
            number = self.numbers.get(name, 0) or self._new(name)
            if number:
                self._items[number] += 1
                numbers.append(number)
        return numbers

    def _new(self, name: str) -> int:
        if self._free:
            number = self._free.pop()
            self._names[number] = name
        elif len(self._names) <= self._most:
            number = len(self._names)
            self._names.append(name)
            self._items.append(0)
        else:
            return 0
        self.numbers[name] = number
        return number

    def release(self, numbers: Iterable[int]) -> None:
        """Note that an item no longer has these categories."""
        for number in numbers:
            self._items[number] -= 1
            if self._items[number] == 0:
                del self.numbers[self._names[number]]
                self._free.append(number)

    # ---- what a snapshot keeps

    def kept(self) -> dict[str, list[str] | list[int]]:
        """Return names by number from 1, and the numbers that are free."""
        return {"categories": self._names[1:], "free_categories": self._free}

    def keep(self, names: Sequence[str], free: Sequence[int], items: Sequence[int]) -> None:
        """Take over what `kept` has returned; ``items`` is how many items have each number."""
        self._names = ["", *names]
        self._free = list(free)
        self._items = list(items)
        unused = set(free)
        self.numbers.clear()
        for number, name in enumerate(names, 1):
            if number not in unused:
                self.numbers[name] = number
