"""Names that are declared in several files, each for one thing only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def unique(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in their order.

    Raises
    ------
    ValueError
        If two are the same: the later one would silently take the place of the earlier.

    Examples
    --------
    >>> unique("features", ["age", "price"])
    ('age', 'price')
    >>> unique("features", ["age", "price", "age"])
    Traceback (most recent call last):
        ...
    ValueError: two features are named 'age'; give one of them another name
    """
    known = tuple(names)
    for name, times in Counter(known).items():
        if times > 1:
            raise ValueError(f"two {what} are named {name!r}; give one of them another name")
    return known
