"""Conditions of a request: what is wrong with them, and what they are for the visitor who asks.

What a condition asks of the visitor is decided here, once a request; the models get a condition on
items alone. What is not known of a visitor fulfils nothing that is asked of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from nextclick.checks import check_text
from nextclick.errors import FieldFault
from nextclick.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_ATTRIBUTE_KEY_BYTES,
    MAX_CATEGORY_BYTES,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_VALUES,
    MAX_CONDITIONS,
    MAX_KIND_BYTES,
    MAX_NUMBER_KEY_BYTES,
    MAX_SEGMENT_BYTES,
)
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import session_pb2
from online_models.ranking.conditions import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    Condition,
    HasFact,
    InRange,
    Not,
)
from online_models.tables import facts
from server.services.facts import NOBODY, Facts

CONTEXT_FIELDS = tuple(field.name for field in session_pb2.Context.DESCRIPTOR.fields)

NAMED_TEXTS = {
    "category": MAX_CATEGORY_BYTES,
    "kind": MAX_KIND_BYTES,
    "segment": MAX_SEGMENT_BYTES,
}
"""Conditions that are a text, and its most bytes."""

OF_VISITORS = ("segment", "user", "context")
"""Conditions on the visitor who asks."""

KEPT, MOST_KEPT_BYTES = 256, 2_048
"""Conditions whose form for the models is kept, since a shop asks the same few again and again;
larger ones are made each time."""


# ---- for the models


def condition_of(message: pb.Condition, said: Facts) -> Condition:
    """Return what a valid condition asks of items, for the visitor of whom these facts are said."""
    raw = message.SerializeToString(deterministic=True)
    if len(raw) > MOST_KEPT_BYTES:
        return _made(message, said)
    condition, of_visitors = _kept(raw)
    return _made(message, said) if of_visitors else condition


@lru_cache(KEPT)
def _kept(raw: bytes) -> tuple[Condition, bool]:
    message = pb.Condition.FromString(raw)
    return _made(message, NOBODY), _asks_of_visitors(message)


def _asks_of_visitors(message: pb.Condition) -> bool:
    test = message.WhichOneof("test")
    if test in ("all", "any"):
        return any(map(_asks_of_visitors, getattr(message, test).conditions))
    if test == "not":
        return _asks_of_visitors(getattr(message, test))
    return test in OF_VISITORS


def _made(message: pb.Condition, said: Facts) -> Condition:
    test = message.WhichOneof("test")
    if test is None:  # which no valid condition has
        return NOTHING
    asked = getattr(message, test)
    if test in ("all", "any"):
        parts = tuple(_made(part, said) for part in asked.conditions)
        return AllOf(parts) if test == "all" else AnyOf(parts)
    return Not(_made(asked, said)) if test == "not" else _LEAVES[test](asked, said)


def _in_range(asked: pb.RangeCondition) -> Condition:
    low = asked.at_least if asked.HasField("at_least") else -math.inf
    high = asked.at_most if asked.HasField("at_most") else math.inf
    return InRange(asked.name, low, high)


def _always(holds: bool) -> Condition:
    return EVERYTHING if holds else NOTHING


_LEAVES: dict[str, Callable[[Any, Facts], Condition]] = {
    "category": lambda name, _: HasFact((facts.category(name),)),
    "kind": lambda name, _: HasFact((facts.kind(name),)),
    "attribute": lambda asked, _: HasFact(
        tuple(facts.attribute(asked.name, value) for value in asked.values)
    ),
    "number": lambda asked, _: _in_range(asked),
    "segment": lambda name, said: _always(name in said.segments),
    "user": lambda asked, said: _always(said.attributes.get(asked.name) in asked.values),
    "context": lambda asked, said: _always(said.context.said.get(asked.name) in asked.values),
}


# ---- what is wrong


def condition_faults(name: str, message: pb.Condition) -> list[FieldFault]:
    """Return all faults of a condition, each with its path in the request; ``name`` is its own.

    Of one that has too many parts, only that.
    """
    if _too_many(message):
        fault = f"has more than {MAX_CONDITIONS} conditions that hold no others; send at most that"
        return [FieldFault(name, fault)]
    faults: list[FieldFault] = []
    _check(faults, name, message, 1)
    return faults


def _too_many(message: pb.Condition) -> bool:
    """Whether a condition has more than `MAX_CONDITIONS` that hold no others.

    It looks at no more than it needs to: a message has room for tens of thousands.
    """
    leaves, waiting = 0, [message]
    while waiting:
        one = waiting.pop()
        test = one.WhichOneof("test")
        parts = getattr(one, test).conditions if test in ("all", "any") else ()
        if leaves + len(waiting) + max(len(parts), 1) > MAX_CONDITIONS:
            return True  # each of those that wait is one, or holds one
        if test == "not":
            waiting.append(getattr(one, test))
        elif parts:
            waiting.extend(parts)
        else:
            leaves += 1
    return False


def _check(faults: list[FieldFault], name: str, message: pb.Condition, depth: int) -> None:
    """Check a condition and those that it holds."""
    test = message.WhichOneof("test")
    if depth > MAX_CONDITION_DEPTH:
        fault = f"is nested more than {MAX_CONDITION_DEPTH} deep; write it with fewer levels"
        faults.append(FieldFault(name, fault))
        return
    if test is None:
        tests = ", ".join(each.name for each in pb.Condition.DESCRIPTOR.oneofs[0].fields)
        faults.append(FieldFault(name, f"asks nothing; set one of {tests}"))
        return
    asked, path = getattr(message, test), f"{name}.{test}"
    if test in ("all", "any"):
        _check_parts(faults, path, asked, depth)
    elif test == "not":
        _check(faults, path, asked, depth + 1)
    elif test in NAMED_TEXTS:
        check_text(faults, path, asked, 1, NAMED_TEXTS[test])
    elif test == "number":
        _check_range(faults, path, asked)
    else:
        _check_values(faults, path, asked)
    if test == "context" and asked.name and asked.name not in CONTEXT_FIELDS:
        known = ", ".join(CONTEXT_FIELDS)
        faults.append(FieldFault(f"{path}.name", f"is none of a context; send one of {known}"))


def _check_parts(faults: list[FieldFault], path: str, asked: pb.Conditions, depth: int) -> None:
    if not asked.conditions:
        fault = f"has no conditions; send 1 to {MAX_CONDITIONS}"
        faults.append(FieldFault(f"{path}.conditions", fault))
    for place, part in enumerate(asked.conditions):
        _check(faults, f"{path}.conditions[{place}]", part, depth + 1)


def _check_values(faults: list[FieldFault], path: str, asked: pb.ValueCondition) -> None:
    check_text(faults, f"{path}.name", asked.name, 1, MAX_ATTRIBUTE_KEY_BYTES)
    n = len(asked.values)
    if not 1 <= n <= MAX_CONDITION_VALUES:
        fault = f"has {n} values; send 1 to {MAX_CONDITION_VALUES}"
        faults.append(FieldFault(f"{path}.values", fault))
        return
    for place, value in enumerate(asked.values):
        check_text(faults, f"{path}.values[{place}]", value, 0, MAX_ATTRIBUTE_BYTES)


def _check_range(faults: list[FieldFault], path: str, asked: pb.RangeCondition) -> None:
    check_text(faults, f"{path}.name", asked.name, 1, MAX_NUMBER_KEY_BYTES)
    for bound in ("at_least", "at_most"):
        if asked.HasField(bound) and not math.isfinite(getattr(asked, bound)):
            fault = "must be finite; leave it out where there is no bound"
            faults.append(FieldFault(f"{path}.{bound}", fault))
    if asked.HasField("at_least") and asked.HasField("at_most") and asked.at_least > asked.at_most:
        fault = "is less than at_least, so that no number is between them; exchange the two"
        faults.append(FieldFault(f"{path}.at_most", fault))
