"""Times as files have them, to milliseconds since 1970.

Numbers are seconds, milliseconds, microseconds or nanoseconds, by the size of most of them; text is
ISO 8601, or a date with the day or the month first. Times without a zone are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import polars as pl
from polars.exceptions import PolarsError

from evaluation.click_files.cells import ids
from nextclick.limits import MAX_TIMESTAMP_MS

FIRST_MS = 100_000_000_000
"""March 1973: where a file's times are dates, earlier ones are mistakes, as 0 is."""

FIRST_USUAL_YEAR = 1995
"""Where most times of a file are older, or of the future, they were probably misread."""

UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

DAY_FIRST, MONTH_FIRST, EITHER = "day", "month", "either"
"""What dates with the year last have first; `EITHER`: no date of the file shows it."""

NOT_UNDERSTOOD, NO_TIME = "the time is not understood", "no time"
OUT_OF_RANGE = "the time is not between 1973 and 2100"

DAY_MS = 86_400_000

_CLOCK = r"(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?"
_HALF_AND_ZONE = r"\s*([AaPp][Mm])?\s*(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$"
_OF_DAY = r"(?:(?:[Tt ]\s*|:)" + _CLOCK + ")?" + _HALF_AND_ZONE
_YEAR_FIRST = r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _OF_DAY
_YEAR_LAST = r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + _OF_DAY
_COMPACT = (
    r"^((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
    r"(?:T?([01]\d|2[0-3])(?:([0-5]\d)([0-5]\d(?:[.,]\d+)?)?)?)?" + _HALF_AND_ZONE
)
_TIME_OF_DAY = "^" + _CLOCK + r"\s*([AaPp][Mm])?$"
_DECIMAL_COMMA = r"^(\d{9,}),(\d{1,6})$"


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
        How they were read, in words; empty if there is none to read.
    small
        Whether the numbers are too small for dates: they count from something else than 1970.
    order
        Of dates with the year last: `DAY_FIRST`, `MONTH_FIRST`, or `EITHER`; else empty.
    """

    ms: pl.Series
    faults: pl.Series
    form: str
    small: bool = False
    order: str = ""


def parse_times(values: pl.Series, name: str, form: str = "", order: str = "") -> Times:
    """Return the times of a column.

    Parameters
    ----------
    values
        Strings, numbers, or times of Parquet; null where there is none.
    name
        The column's name: ``timestamp_ms`` says of small numbers what they are.
    form
        ``s``, ``ms``, ``us``, ``ns``, or a format of strptime; empty: guess.
    order
        What dates have first, where they do not tell: `DAY_FIRST` or `MONTH_FIRST`.

    Raises
    ------
    TimesError
        If they can be read in two ways, or ``form`` is no format.
    """
    if values.dtype.is_temporal() or values.dtype.is_nested():
        if values.dtype not in (pl.Datetime, pl.Date):
            raise TimesError(f"{values.dtype} is no point in time")
        return _checked(values, values.dt.epoch("us") / 1000, "times")
    if form and form not in UNITS:
        return _checked(values, _formatted(values, form), f"as {form}")
    texts = values.cast(pl.String)
    numbers = values.cast(pl.Float64, strict=False)
    if values.dtype == pl.String:
        numbers = texts.str.replace(_DECIMAL_COMMA, "${1}.${2}").cast(pl.Float64, strict=False)
    if not form:
        present = texts.drop_nulls()
        if len(present) and present.str.contains(_COMPACT).all():
            return _checked(values, _calendar(texts, _COMPACT, "ymd"), "digits of a date")
        if 2 * len(numbers.drop_nulls()) < len(present):
            times = _texts(texts, order)
            if len(times.ms.drop_nulls()) >= len(numbers.drop_nulls()):
                return times
    return _numbers(
        values, numbers.replace([float("inf"), float("-inf"), float("nan")], None), name, form
    )


def add_time_of_day(dates: Times, values: pl.Series, unit: str = "") -> Times:
    """Return dates with a time of day.

    Parameters
    ----------
    dates
        Days.
    values
        ``10:51:09`` with or without AM and PM; whole hours; ``1051`` or ``105109``, where all
        values are; numbers that count from midnight, if their unit is given.
    unit
        ``s``, ``ms``, ``us``, ``ns``; empty: guess.

    Raises
    ------
    TimesError
        If the dates are no days, the values no times of day, or ``unit`` is no unit.
    """
    if dates.small or bool((dates.ms % DAY_MS != 0).any()):
        raise TimesError("the first of the two columns holds more, or something else, than days")
    texts, numbers = ids(values), values.cast(pl.Float64, strict=False)
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(_TIME_OF_DAY).struct.unnest())
    if unit:
        if unit not in UNITS:
            raise TimesError(f"{unit!r} is no unit of a time of day")
        of_day = numbers * UNITS[unit]
        of_day = of_day.set((of_day < 0) | ~of_day.is_finite(), None)
        words = f"a time of day in {UNIT_NAMES[unit]}"
    elif len(parts["1"].drop_nulls()):
        of_day, words = _of_day(*(parts[str(i)] for i in range(1, 5))), "a time of day"
        of_day = of_day.set(parts["1"].is_null(), None)
    else:
        of_day, words = _of_day_in_digits(texts, numbers)
    return _checked(values, dates.ms + of_day, f"{dates.form}, and {words}")


def note_of_odd_times(ms: pl.Series, form: str) -> str:
    """Return what to say of times that are mostly of years without clicks; else empty."""
    if ms.null_count() == len(ms):
        return ""
    middle = datetime.fromtimestamp(float(ms.median()) / 1000, UTC)  # type: ignore[arg-type]
    if FIRST_USUAL_YEAR <= middle.year <= datetime.now(UTC).year + 1:
        return ""
    return (
        f"the middle one of its times is of {middle:%Y-%m-%d}, read as {form}: if that is wrong, "
        "give the unit or the format with --time"
    )


def _of_day_in_digits(texts: pl.Series, numbers: pl.Series) -> tuple[pl.Series, str]:
    """Return milliseconds since midnight of numbers that are all times of day, and their form."""
    zero = numbers * 0
    for words, digits, hour, minute, second in (
        ("whole hours", r"^\d\d?$", numbers, zero, zero),
        ("a time of day as HHMM", r"^\d{3,4}$", numbers // 100, numbers % 100, zero),
        (
            "a time of day as HHMMSS",
            r"^\d{5,6}$",
            numbers // 10_000,
            numbers // 100 % 100,
            numbers % 100,
        ),
    ):
        fits = texts.str.contains(digits) & (hour < 24) & (minute < 60) & (second < 60)
        if fits.all() and fits.any():
            return ((hour * 60 + minute) * 60 + second) * 1000, words
    raise TimesError("the second of the two columns holds no times of day")


def _numbers(values: pl.Series, numbers: pl.Series, name: str, form: str) -> Times:
    if numbers.null_count() == len(numbers):
        return _checked(values, numbers, "")
    middle = float(numbers.abs().median())  # type: ignore[arg-type]
    unit = form or next(
        (unit for unit, least in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)) if middle >= least), "s"
    )
    small = middle < FIRST_MS / 1000
    if small and not form and name.lower().endswith(("ms", "millis", "milliseconds")):
        unit = "ms"
    times = _checked(values, numbers * UNITS[unit], f"{UNIT_NAMES[unit]} since 1970", small=small)
    return replace(times, small=False) if form else times


def _texts(texts: pl.Series, order: str) -> Times:
    year_first = _calendar(texts, _YEAR_FIRST, "ymd")
    if 2 * len(year_first.drop_nulls()) >= len(texts.drop_nulls()):
        return _checked(texts, year_first, "dates with the year first")
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(_YEAR_LAST).struct.unnest())
    first, second = _number(parts["1"]), _number(parts["2"])
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first and month_first:
        raise TimesError("some dates have the day first, and some the month: make them alike")
    if day_first or month_first:
        order = DAY_FIRST if day_first else MONTH_FIRST
    form = f"dates with the {order or DAY_FIRST} first"
    if not order:
        form += ", which nothing in the file says: if that is wrong, give the format"
    year_last = _calendar(texts, _YEAR_LAST, "mdy" if order == MONTH_FIRST else "dmy")
    if year_last.null_count() == len(texts):
        return _checked(texts, year_last, "no form of times that is known")
    return replace(_checked(texts, year_last, form), order=order or EITHER)


def _calendar(texts: pl.Series, pattern: str, order: str) -> pl.Series:
    """Return milliseconds of the texts that have the pattern and are dates."""
    parts = texts.to_frame("t").select(pl.col("t").str.extract_groups(pattern).struct.unnest())
    place = {letter: parts[str(i)] for i, letter in enumerate(order, 1)}
    days = (place["y"] + "-" + place["m"] + "-" + place["d"]).str.to_date("%Y-%m-%d", strict=False)
    of_day = _of_day(*(parts[str(i)] for i in range(4, 8)))
    zone = parts["8"].str.extract_groups(r"([+-])(\d\d):?(\d\d)?")
    sign = (zone.struct["1"] == "-").fill_null(value=False).cast(pl.Float64) * -2 + 1
    minutes = _number(zone.struct["2"]) * 60 + _number(zone.struct["3"]).fill_null(0)
    ms = days.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64)
    ms = ms + of_day - (sign * minutes).fill_null(0) * 60_000
    hours_alone = zone.struct["2"].is_not_null() & zone.struct["3"].is_null()
    return ms.set(hours_alone & parts["4"].is_null(), None)  # 2014-04-07-09 is no zone


def _of_day(hours: pl.Series, minutes: pl.Series, seconds: pl.Series, half: pl.Series) -> pl.Series:
    """Return milliseconds since midnight of texts; null where they are none, 0 where all are."""
    hour, minute, second = (_number(part).fill_null(0) for part in (hours, minutes, seconds))
    half = half.str.to_lowercase()
    valid = (hour < 24) & (minute < 60) & (second < 61)
    valid &= half.is_null() | ((hour >= 1) & (hour <= 12))
    twelve, after_noon = half.is_not_null() & (hour == 12), (half == "pm").fill_null(value=False)
    hour = hour - 12 * twelve.cast(pl.Float64) + 12 * after_noon.cast(pl.Float64)
    return (((hour * 60 + minute) * 60 + second) * 1000).set(~valid, None)


def _number(texts: pl.Series) -> pl.Series:
    return texts.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)


def _formatted(values: pl.Series, form: str) -> pl.Series:
    texts = values.cast(pl.String)
    if "%" not in form:
        raise TimesError(f"{form!r} is neither a unit nor a format of strptime")
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
