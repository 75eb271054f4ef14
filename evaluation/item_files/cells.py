"""What cells say of an item: whether it may be recommended, and when; attributes, numbers, vectors.

Each function raises `CellError` for what it does not understand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from evaluation.click_files.cells import MISSING
from nextclick.codec import decode_embedding
from nextclick.limits import MAX_TIMESTAMP_MS
from nextclick.units import EARLIEST_MS

YES = frozenset(
    (
        "true", "t", "yes", "y", "available", "instock", "active", "published", "enabled",
        "preorder", "backorder", "limitedavailability", "onlineonly", "visible",
    )
)  # fmt: skip
NO = frozenset(
    (
        "false", "f", "no", "n", "unavailable", "outofstock", "soldout", "inactive", "unpublished",
        "disabled", "discontinued", "draft", "archived", "hidden", "notavailable", "instoreonly",
    )
)  # fmt: skip
"""Without case and punctuation, and without schema.org's address."""


class CellError(Exception):
    """A cell that is not understood; says why."""


def availability(cell: str) -> bool:
    """Return whether an item may be recommended; an empty cell does not say no.

    >>> availability("in stock"), availability("https://schema.org/OutOfStock"), availability("0")
    (True, False, False)
    >>> availability("17"), availability("")
    (True, True)
    """
    said = _said(cell)
    if not said or said in YES or said in NO:
        return said not in NO
    try:
        return float(cell) > 0
    except ValueError:
        raise CellError("the availability is not understood") from None


def deletion(cell: str) -> bool:
    """Return whether an item is deleted: a truth, a state, or the time when it was.

    >>> deletion("deleted"), deletion("2026-11-28 03:00:00"), deletion("active"), deletion("")
    (True, True, False, False)
    """
    said = _said(cell)
    if said in ("deleted", "removed", "true", "t", "yes", "y", "1"):
        return True
    if not said or said in ("active", "false", "f", "no", "n", "0"):
        return False
    if re.match(r"\d{4}-\d\d-\d\d|\d{9,}", cell):
        return True
    raise CellError("whether it is deleted is not understood")


def attributes(cell: Any) -> dict[str, str]:
    """Return the attributes of an object: JSON, or what a reader has made of one.

    >>> attributes('{"brand": "Acme", "new": true, "note": null, "sizes": ["S", "M"]}')
    {'brand': 'Acme', 'new': 'true', 'sizes': 'S, M'}
    """
    if isinstance(cell, list) and len(cell) == 1 and not isinstance(cell[0], Mapping):
        cell = cell[0]  # of JSON Lines in which another row has a list
    if cell is None or cell in MISSING:
        return {}
    if isinstance(cell, str):
        try:
            cell = orjson.loads(cell)
        except orjson.JSONDecodeError:
            raise CellError("attributes that are no JSON object") from None
    if isinstance(cell, list):  # Parquet's maps
        try:
            cell = {entry["key"]: entry["value"] for entry in cell}
        except (KeyError, TypeError):
            raise CellError("attributes that are no JSON object") from None
    if not isinstance(cell, Mapping):
        raise CellError("attributes that are no JSON object")
    told = {str(name): text(value) for name, value in cell.items()}
    return {name: value for name, value in told.items() if value}


_CURRENCY = r"(?:[A-Z]{3}|[$€£¥])"
_AMOUNT = re.compile(rf"(?:{_CURRENCY} ?)?([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?: ?{_CURRENCY})?")


def number(cell: str) -> float | None:
    """Return a number, also one with a currency; None for an empty cell.

    >>> number("19.90"), number("9.90 USD"), number("$5"), number("")
    (19.9, 9.9, 5.0, None)
    """
    if not cell or cell in MISSING:
        return None
    found = _AMOUNT.fullmatch(cell)
    value = float(found[1]) if found else math.nan
    if not math.isfinite(value):
        raise CellError("a number that is not understood")
    return value


def numbers(cell: Any) -> dict[str, float]:
    """Return the numbers of an object, as `attributes` returns texts.

    >>> numbers('{"price": 9.9, "year": "1999", "note": null}')
    {'price': 9.9, 'year': 1999.0}
    """
    try:
        told = {name: number(value) for name, value in attributes(cell).items()}
    except CellError:
        raise CellError("numbers that are no JSON object of numbers") from None
    return {name: value for name, value in told.items() if value is not None}


_UNITS_MS = (1_000.0, 1.0, 1e-3, 1e-6)
"""Milliseconds of a second, of a millisecond, and of their thousandths."""


def time_ms(cell: str) -> int:
    """Return a time in milliseconds since 1970; 0 for an empty cell. Without a zone, it is UTC.

    A date before 1970 or after 2099 is 0, too: such as 9999-12-31 stand for no time at all.

    >>> time_ms("2026-11-28T03:00:00Z"), time_ms("2026-11-28"), time_ms("1764298800")
    (1795834800000, 1795824000000, 1764298800000)
    >>> time_ms("1764298800000"), time_ms(""), time_ms("0"), time_ms("9999-12-31")
    (1764298800000, 0, 0, 0)
    """
    if not cell or cell in MISSING:
        return 0
    try:
        return _counted_ms(float(cell))
    except ValueError:
        pass
    try:
        told = datetime.fromisoformat(cell)
    except ValueError:
        raise CellError("a time that is not understood") from None
    ms = round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1_000)
    return ms if 0 <= ms <= MAX_TIMESTAMP_MS else 0


def _counted_ms(count: float) -> int:
    if count == 0:
        return 0
    for unit_ms in _UNITS_MS:
        if EARLIEST_MS <= count * unit_ms <= MAX_TIMESTAMP_MS:
            return round(count * unit_ms)
    raise CellError("a time that is not understood")


def url(cell: str) -> str:
    """Return an address of the web."""
    if cell and not re.match(r"https?://", cell, re.IGNORECASE):
        raise CellError("an address that is none of the web")
    return cell


def embedding(cell: Any) -> tuple[float, ...]:
    """Return a vector: a list, also as text, or what the topic holds; empty for an empty cell.

    >>> embedding([1, "2.5"]), embedding("[1, 2.5]"), embedding("1 2.5"), embedding("AACAPwAAIEA=")
    ((1.0, 2.5), (1.0, 2.5), (1.0, 2.5), (1.0, 2.5))
    """
    if isinstance(cell, str):
        cell = [part for part in re.split(r"[\s,;|]+", cell.strip(" []()")) if part]
    entries = [entry for entry in cell or () if entry is not None and entry not in MISSING]
    try:
        if len(entries) == 1 and isinstance(entries[0], str):
            return _one(entries[0])
        return tuple(float(entry) for entry in entries)
    except (TypeError, ValueError):
        raise CellError("an embedding that is no list of numbers") from None


def _one(entry: str) -> tuple[float, ...]:
    try:
        return (float(entry),)
    except ValueError:
        return decode_embedding(entry)


def text(value: Any) -> str:
    """Return a value as the text of an attribute; empty if it is missing.

    >>> text(" red "), text(12.0), text(True), text("NaN")
    ('red', '12', 'true', '')
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ", ".join(filter(None, map(text, value)))
        case Mapping():
            return orjson.dumps(dict(value), default=str).decode()
    said = str(value).strip()
    return "" if said in MISSING else said


def _said(cell: str) -> str:
    said = "" if cell in MISSING else cell.rsplit("/", 1)[-1]
    return re.sub(r"[\W_]", "", said.lower())
