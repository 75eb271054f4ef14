"""What cells say of an item: whether it may be recommended, whether it is deleted, attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from evaluation.click_files.cells import MISSING

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
