"""The unit that a time was probably sent in, where it is not the milliseconds that it should be."""

from __future__ import annotations

from nextclick.limits import MAX_TIMESTAMP_MS

EARLIEST_MS = 946_684_800_000  # the year 2000

_UNITS = (
    ("seconds", EARLIEST_MS // 1_000, MAX_TIMESTAMP_MS // 1_000),
    ("microseconds", EARLIEST_MS * 1_000, MAX_TIMESTAMP_MS * 1_000),
    ("nanoseconds", EARLIEST_MS * 1_000_000, MAX_TIMESTAMP_MS * 1_000_000),
)
"""Units, and the numbers that are times between 2000 and 2100 in them."""

HINT = "send milliseconds since 1970, UTC"


def unit_hint(timestamp: float) -> str:
    """Return what to say of a time that cannot be taken, naming the unit that it looks like.

    >>> unit_hint(1_700_000_000)
    'it looks like seconds; send milliseconds since 1970, UTC'
    >>> unit_hint(5)
    'send milliseconds since 1970, UTC'
    """
    for unit, low, high in _UNITS:
        if low <= timestamp <= high:
            return f"it looks like {unit}; {HINT}"
    return HINT
