"""Types of events are declared once, and everything that names them agrees."""

from __future__ import annotations

import re
from pathlib import Path

from nextclick.event_types import DISLIKE, EVENT_TYPES, LIKE, Effect
from nextclick.v1.session_pb2 import EventType

ROOT = Path(__file__).parents[3]
NAMES = {kind.name for kind in EVENT_TYPES}


def test_the_table_and_the_enum_have_the_same_types_in_order() -> None:
    """If it failed, a type would be counted and not learned, or the jobs would not start."""
    known = [name for name in EventType.keys() if name != "EVENT_TYPE_UNSPECIFIED"]  # noqa: SIM118
    assert [kind.enum_name for kind in EVENT_TYPES] == known


def test_only_types_that_strengthen_have_a_strength_and_no_two_the_same() -> None:
    """If it failed, it would depend on their order which of two events gives a step its type."""
    strengths = [kind.strength for kind in EVENT_TYPES if kind.effect is Effect.STRENGTHENS]
    assert len(set(strengths)) == len(strengths)
    assert min(strengths) > 0
    assert not any(k.strength for k in EVENT_TYPES if k.effect is not Effect.STRENGTHENS)


def test_ratings_count_as_types_that_there_are() -> None:
    """If it failed, every high or low rating would stop the sessions job."""
    assert {LIKE, DISLIKE} <= NAMES


def test_readme_names_the_types() -> None:
    """If it failed, senders would be told of types that do nothing, or miss one."""
    table = (ROOT / "README.md").read_text().partition("| type | what it does |")[2]
    cells = [row.split("|")[1] for row in table.partition("\n\n")[0].splitlines() if "|" in row]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == NAMES
