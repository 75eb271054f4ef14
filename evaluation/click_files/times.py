"""Times as files have them, to milliseconds since 1970.

Numbers are seconds, milliseconds, microseconds or nanoseconds, by the size of most of them; text is
ISO 8601, or a date with the day or the month first. Times without a zone are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl
from polars.exceptions import PolarsError

from nextclick.limits import MAX_TIMESTAMP_MS

FIRST_MS = 100_000_000_000
"""March 1973: where a file's times are dates, earlier ones are mistakes, as 0 is."""

UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

NOT_UNDERSTOOD, NO_TIME = "the time is not understood", "no time"
OUT_OF_RANGE = "the time is not between 1973 and 2100"

_OF_DAY = (
    r"(?:(?:[T ]\s*|:)(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?)?"
    r"\s*([AaPp][Mm])?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?$"
)
_YEAR_FIRST = r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _OF_DAY
_YEAR_LAST = r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + _OF_DAY
_COMPACT = r"^((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?:T?(\d\d)(\d\d)(\d\d))?$"
_TIME_OF_DAY = r"^(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?$"


class TimesError(Exception):
    """Times that can be read in two ways, or a format that is none."""


@dataclass(frozen=True)
class Times:
    """Times of a column.

    Attributes
    ----------
    ms
        Milliseconds since 1970 as floats; null where there is a fault.
    faults
        Why there is no time; null where there is one.
    form
        How they were read, in words.
    small
        Whether the numbers are too small for dates: they count from something else than 1970.
    """

    ms: pl.Series
    faults: pl.Series
    form: str
    small: bool = False


def parse_times(values: pl.Series, name: str, form: str = "") -> Times:
    """Return the times of a column.

    Parameters
    ----------
    values
        Strings, numbers, or times of Parquet; null where there is none.
    name
        The column's name: ``timestamp_ms`` says of small numbers what they are.
    form
        ``s``, ``ms``, ``us``, ``ns``, or a format of strptime; empty: guess.

    Raises
    ------
    TimesError
        If they can be read in two ways, or ``form`` is no format.
    """
    if values.dtype.is_temporal():
        if values.dtype not in (pl.Datetime, pl.Date):
            raise TimesError(f"it holds {values.dtype}, which are no points in time")
        return _checked(values, values.dt.epoch("us") / 1000, "times")
    if form and form not in UNITS:
        return _checked(values, _formatted(values, form), f"as {form}")
    numbers = values.cast(pl.Float64, strict=False)
    if not form:
        texts = values.cast(pl.String)
        present = texts.drop_nulls()
        if len(present) and present.str.contains(_COMPACT).mean() == 1:
            return _checked(values, _calendar(texts, _COMPACT, "ymd"), "digits of a date")
        if 2 * len(numbers.drop_nulls()) < len(present):
            times = _texts(texts)
            if len(times.ms.drop_nulls()) >= len(numbers.drop_nulls()):
                return times
    return _numbers(
        values, numbers.replace([float("inf"), float("-inf"), float("nan")], None), name, form
    )


def add_time_of_day(dates: Times, values: pl.Series) -> Times:
    """Return dates with a time of day: ``10:51:09``, or milliseconds since midnight."""
    texts = values.cast(pl.String)
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(_TIME_OF_DAY).struct.unnest())
    hour, minute, second = (_number(parts[str(i)]) for i in (1, 2, 3))
    valid = (hour < 24) & (minute < 60) & (second.fill_null(0) < 60)
    of_day = ((hour * 60 + minute) * 60 + second.fill_null(0)) * 1000
    of_day = of_day.set(~valid, None)
    if of_day.null_count() == len(of_day):
        of_day = values.cast(pl.Float64, strict=False)
        of_day = of_day.set((of_day < 0) | ~of_day.is_finite(), None)
    return _checked(values, dates.ms + of_day, f"{dates.form}, and a time of day")


def _numbers(values: pl.Series, numbers: pl.Series, name: str, form: str) -> Times:
    middle = float(numbers.abs().median() or 0)  # type: ignore[arg-type]
    unit = form or next(
        (unit for unit, least in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)) if middle >= least), "s"
    )
    small = middle < FIRST_MS / 1000
    if small and not form and name.lower().endswith(("ms", "millis", "milliseconds")):
        unit = "ms"
    times = _checked(values, numbers * UNITS[unit], f"{UNIT_NAMES[unit]} since 1970", small=small)
    return replace(times, small=False) if form else times


def _texts(texts: pl.Series) -> Times:
    year_first = _calendar(texts, _YEAR_FIRST, "ymd")
    if 2 * len(year_first.drop_nulls()) >= len(texts.drop_nulls()):
        return _checked(texts, year_first, "dates with the year first")
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(_YEAR_LAST).struct.unnest())
    first, second = _number(parts["1"]), _number(parts["2"])
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first and month_first:
        raise TimesError(
            "some dates have the day first, and some the month; make them alike, or give the format"
        )
    order = "mdy" if month_first else "dmy"
    words = "month" if month_first else "day"
    form = f"dates with the {words} first"
    if not day_first and not month_first:
        form += ", which nothing in the file says: if that is wrong, give the format"
    year_last = _calendar(texts, _YEAR_LAST, order)
    if year_last.null_count() == len(texts):
        form = "no form of dates that is known"
    return _checked(texts, year_last, form)


def _calendar(texts: pl.Series, pattern: str, order: str) -> pl.Series:
    """Return milliseconds of the texts that have the pattern and are dates."""
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(pattern).struct.unnest())
    place = {letter: parts[str(i)] for i, letter in enumerate(order, 1)}
    days = (place["y"] + "-" + place["m"] + "-" + place["d"]).str.to_date("%Y-%m-%d", strict=False)
    hour, minute, second = (_number(parts[str(i)]).fill_null(0) for i in (4, 5, 6))
    offset = pl.Series("offset", [0.0]).new_from_index(0, len(texts))
    if pattern is not _COMPACT:
        half = parts["7"].str.to_lowercase()
        valid_half = half.is_null() | ((hour >= 1) & (hour <= 12))
        twelve = half.is_not_null() & (hour == 12)
        hour = (
            hour
            - 12 * twelve.cast(pl.Float64)
            + 12 * (half == "pm").fill_null(False).cast(pl.Float64)
        )
        hour = hour.set(~valid_half, None)
        zone = parts["8"].str.extract_groups(r"([+-])(\d\d):?(\d\d)")
        sign = (zone.struct["1"] == "-").fill_null(value=False).cast(pl.Float64) * -2 + 1
        minutes = _number(zone.struct["2"]) * 60 + _number(zone.struct["3"])
        offset = (sign * minutes).fill_null(0)
    valid = ((hour < 24) & (minute < 60) & (second < 61)).fill_null(value=False)
    ms = days.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64)
    ms = ms + ((hour * 60 + minute - offset) * 60 + second) * 1000
    return ms.set(~valid, None)


def _number(texts: pl.Series) -> pl.Series:
    return texts.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)


def _formatted(values: pl.Series, form: str) -> pl.Series:
    texts = values.cast(pl.String)
    try:
        if any(sign in form for sign in ("%H", "%I", "%T", "%s", "%c", "%X", "%R")):
            return texts.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("us") / 1000
        return texts.str.to_date(form, strict=False).cast(pl.Datetime("us")).dt.epoch("us") / 1000
    except PolarsError as e:
        raise TimesError(f"{form!r} is no format of times ({e})") from e


def _checked(values: pl.Series, ms: pl.Series, form: str, *, small: bool = False) -> Times:
    """Return the times without those that are out of range, each fault with its reason."""
    inside = (ms >= (0 if small else FIRST_MS)) & (ms <= MAX_TIMESTAMP_MS)
    frame = pl.DataFrame({"value": values.is_null(), "ms": ms, "inside": inside})
    fault = (
        pl.when("value")
        .then(pl.lit(NO_TIME))
        .when(pl.col("ms").is_null())
        .then(pl.lit(NOT_UNDERSTOOD))
        .when(~pl.col("inside"))
        .then(pl.lit(OUT_OF_RANGE))
    )
    frame = frame.with_columns(fault=fault)
    kept = frame.select(pl.when(pl.col("fault").is_null()).then("ms"))
    return Times(kept.to_series(), frame["fault"], form, small)
