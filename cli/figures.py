"""Figures as people read them: with units, and no more digits than they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

FILLS = -50.0
"""Scores of items that fill a page are not higher: they say the order only."""


def count(n: int | None) -> str:
    """Return a number of things; empty for None.

    >>> count(1234567)
    '1,234,567'
    """
    return "" if n is None else f"{n:,}"


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share, 0..1, in percent; empty for None.

    >>> percent(0.7354)
    '73.54 %'
    """
    return "" if share is None else f"{100 * share:.{digits}f} %"


def hundredths(share: float | None) -> str:
    """Return a share, 0..1, as `percent` does, for a table whose title has the unit."""
    return "" if share is None else f"{100 * share:.2f}"


def interval(bounds: Sequence[float], digits: int = 2) -> str:
    """Return the bounds of a share, 0..1, in percent, without the unit.

    >>> interval([0.7163, 0.7545])
    '71.63-75.45'
    """
    return "-".join(f"{100 * bound:.{digits}f}" for bound in bounds)


def microseconds(*times_us: float) -> str:
    """Return times in microseconds.

    >>> microseconds(244.2, 1468.0)
    '244, 1,468 us'
    """
    return f"{', '.join(f'{time_us:,.0f}' for time_us in times_us)} us"


def milliseconds(times: Mapping[str, float], scale: float = 1.0) -> str:
    """Return median and 99th percentile of times in milliseconds, if multiplied by ``scale``.

    >>> milliseconds({"p50": 1503.2, "p99": 25400.0}, 1e-3)
    '1.5, 25 ms'
    """
    return f"{_digits(times['p50'] * scale)}, {_digits(times['p99'] * scale)} ms"


def seconds(time_s: float) -> str:
    """Return a duration.

    >>> seconds(7.04), seconds(431.2)
    ('7.0 s', '7 min 11 s')
    """
    if time_s < 60:
        return f"{time_s:.1f} s"
    minutes, rest = divmod(round(time_s), 60)
    return f"{minutes} min {rest} s"


def size(n: int) -> str:
    """Return a number of bytes.

    >>> size(1_234_567_890), size(45_678), size(0)
    ('1.2 GB', '46 kB', '0 bytes')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{_digits(n / scale)} {unit}"
    return f"{n} bytes"


def clock(time_ms: float) -> str:
    """Return a time in milliseconds since 1970 as a date and a time of day in UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
