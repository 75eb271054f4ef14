"""Checks of single fields: each adds what is wrong to a list, and says what to do.

Every check takes any value whatever, and raises nothing.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from nextclick.errors import FieldFault
from nextclick.limits import MAX_TIMESTAMP_MS
from nextclick.units import unit_hint

Faults = list[FieldFault]

_JSON_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a fractional number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


def check_text(faults: Faults, name: str, value: Any, low: int, high: int) -> None:
    """Check a string of ``low`` to ``high`` bytes of UTF-8 without NUL."""
    if not isinstance(value, str):
        faults.append(FieldFault(name, f"must be a string, not {json_type(value)}"))
        return
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            faults.append(FieldFault(name, "must be valid Unicode; remove the lone surrogates"))
            return
    if size < low:
        faults.append(FieldFault(name, f"is missing; send {low} to {high} bytes"))
    elif size > high:
        faults.append(FieldFault(name, f"has {size} bytes; send at most {high}"))
    if "\0" in value:
        faults.append(FieldFault(name, "must not contain the character NUL; remove it"))


def first_too_long(texts: Sequence[str], most: int) -> int | None:
    """Return the place of the first text of more than ``most`` bytes of UTF-8, None if all fit.

    Cheap for texts that are far from the limit: nothing is encoded.
    """
    # A character has 4 bytes at most.
    if not texts or max(map(len, texts)) * 4 <= most:
        return None
    for place, text in enumerate(texts):
        if len(text) * 4 > most and len(text.encode()) > most:
            return place
    return None


def check_integer(faults: Faults, name: str, value: Any, low: int, high: int) -> None:
    """Check an integer; a boolean is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(FieldFault(name, f"must be an integer, not {json_type(value)}"))
    elif low > value == 0:
        faults.append(FieldFault(name, f"is missing, or 0; send {low} to {high}"))
    elif not low <= value <= high:
        # The value itself is left out: Python refuses to print some huge ones.
        faults.append(FieldFault(name, f"is out of range; send {low} to {high}"))


def check_time(faults: Faults, name: str, value: Any) -> None:
    """Check a time in milliseconds since 1970; name the unit that a wrong one looks like."""
    before = len(faults)
    check_integer(faults, name, value, 1, MAX_TIMESTAMP_MS)
    if len(faults) > before and isinstance(value, int | float) and value:
        wrong = faults.pop().description
        faults.append(FieldFault(name, f"{wrong}; {unit_hint(value)}"))


def check_finite(faults: Faults, name: str, value: Any) -> None:
    """Check a number that fits a finite double; a boolean is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        faults.append(FieldFault(name, f"must be a number, not {json_type(value)}"))
    elif not -sys.float_info.max <= value <= sys.float_info.max:
        faults.append(FieldFault(name, "must be finite; leave it out where it is unknown"))


def check_map(
    faults: Faults, name: str, value: Any, *, entries: int, key_bytes: int, value_bytes: int
) -> None:
    """Check a map of strings, empty values included."""
    if not isinstance(value, Mapping):
        faults.append(FieldFault(name, f"must be an object of strings, not {json_type(value)}"))
        return
    if len(value) > entries:
        faults.append(FieldFault(name, f"has {len(value)} entries; send at most {entries}"))
        return
    for key, entry in value.items():
        before = len(faults)
        check_text(faults, f"{name} (a key)", key, 1, key_bytes)
        if len(faults) == before:
            check_text(faults, f"{name}.{key}", entry, 0, value_bytes)


def check_numbers(faults: Faults, name: str, value: Any, *, entries: int, key_bytes: int) -> None:
    """Check a map of finite numbers."""
    if not isinstance(value, Mapping):
        faults.append(FieldFault(name, f"must be an object of numbers, not {json_type(value)}"))
        return
    if len(value) > entries:
        faults.append(FieldFault(name, f"has {len(value)} entries; send at most {entries}"))
        return
    for key, entry in value.items():
        before = len(faults)
        check_text(faults, f"{name} (a key)", key, 1, key_bytes)
        if len(faults) == before:
            check_finite(faults, f"{name}.{key}", entry)


def check_vector(faults: Faults, name: str, value: Any, most: int) -> None:
    """Check a list of at most ``most`` numbers that fit a finite float; empty: there is none."""
    if not isinstance(value, tuple | list):
        faults.append(FieldFault(name, f"must be a list of numbers, not {json_type(value)}"))
        return
    if len(value) > most:
        faults.append(FieldFault(name, f"has {len(value)} numbers; send at most {most}"))
        return
    for place, number in enumerate(value):
        if type(number) not in (float, int):
            fault = f"must be a number, not {json_type(number)}"
            faults.append(FieldFault(f"{name}[{place}]", fault))
            return
    try:
        fits = all(map(math.isfinite, array("f", value)))
    except OverflowError:
        fits = False
    if not fits:
        faults.append(FieldFault(name, "has a number that no finite float holds; leave it out"))


_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def check_url(faults: Faults, name: str, value: Any, most: int) -> None:
    """Check an address of the web; empty: there is none."""
    before = len(faults)
    check_text(faults, name, value, 0, most)
    if value and len(faults) == before and not _URL.fullmatch(value):
        fault = "must be an address that begins with http:// or https://, without blanks"
        faults.append(FieldFault(name, fault))


def json_type(value: Any) -> str:
    """Return what a sender of JSON calls the type of a value."""
    return _JSON_NAMES.get(type(value)) or f"{type(value).__name__}"
