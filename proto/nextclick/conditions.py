"""Conditions of a filter: what an item, or the visitor who asks, must be like.

Each function returns a condition as a mapping, with the names of `Condition` in
``recommendation_service.proto``: it is also what REST takes, as JSON.

>>> from nextclick import Filter
>>> cheap_or_new = any_of(number("price", at_most=20), number("year", at_least=2026))
>>> others = not_(attribute("brand", "Acme"))
>>> flt = Filter(condition=all_of(category("Shoes"), cheap_or_new, others))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Condition = Mapping[str, Any]


def all_of(*conditions: Condition) -> Condition:
    """Return the condition that all of some hold."""
    return {"all": {"conditions": list(conditions)}}


def any_of(*conditions: Condition) -> Condition:
    """Return the condition that at least one of some holds."""
    return {"any": {"conditions": list(conditions)}}


def not_(condition: Condition) -> Condition:
    """Return the condition that another one does not hold."""
    return {"not": condition}


def category(name: str) -> Condition:
    """Return the condition that an item is in a category."""
    return {"category": name}


def kind(name: str) -> Condition:
    """Return the condition that an item is of a kind."""
    return {"kind": name}


def attribute(name: str, *values: str) -> Condition:
    """Return the condition that an item's attribute has one of some values.

    >>> attribute("brand", "Acme", "Zenith")
    {'attribute': {'name': 'brand', 'values': ['Acme', 'Zenith']}}
    """
    return {"attribute": {"name": name, "values": list(values)}}


def number(name: str, *, at_least: float | None = None, at_most: float | None = None) -> Condition:
    """Return the condition that an item has a number, within bounds that are included.

    >>> number("price", at_most=20)
    {'number': {'name': 'price', 'at_most': 20}}
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    return {"number": {"name": name} | {k: v for k, v in bounds.items() if v is not None}}


def segment(name: str) -> Condition:
    """Return the condition that the user is in a segment."""
    return {"segment": name}


def user(name: str, *values: str) -> Condition:
    """Return the condition that an attribute of the user has one of some values."""
    return {"user": {"name": name, "values": list(values)}}


def context(name: str, *values: str) -> Condition:
    """Return the condition that the device, country, channel or referrer is one of some values."""
    return {"context": {"name": name, "values": list(values)}}
