"""What a feature declares: its name, what it means and in which unit, where it comes from.

A feature is declared once, beside the code that computes it. The lists of all of them are in
`declared.py`; names, schema, `ListFeatures`, docs/features.md and tests follow from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Entity(StrEnum):
    """What a feature describes."""

    SESSION = "session"
    ITEM = "item"
    USER = "user"
    CANDIDATE = "candidate"
    """An item as an answer to one session: what the rankings order by."""


@dataclass(frozen=True)
class Origin:
    """Where values come from, and how soon they follow; the known ones are in `origins.py`.

    Parameters
    ----------
    name
        In a few words.
    topics
        Kafka topics, as `nextclick.topics` names them, that the state is computed from.
    state
        What of the models' memory is read.
    freshness
        When a value changes: how old it can be.
    delay_ms
        How long after the event that changes it, at the latest, in ordinary live traffic;
        milliseconds. 0: it is of the request itself.
    """

    name: str
    topics: tuple[str, ...]
    state: str
    freshness: str
    delay_ms: int


@dataclass(frozen=True)
class Feature:
    """A number, or names, that describe a session, an item, a user or a candidate.

    Parameters
    ----------
    name
        Unique among all features; those of the rankings are a schema (`registry.SCHEMA`).
    part
        Name of its group: ``nextclick bench frontier`` leaves out features of the rankings together
        with the others of their part.
    meaning
        What it says.
    unit
        Of the value, such as ``"clicks"``, ``"share 0..1"`` or ``"0 or 1"``; ``"names"``: it is a
        list of texts.
    origin
        Where it comes from, and how old it can be.
    version
        Of how it is computed: raise it when it is computed in another way, or means something
        else. It is part of the schema of the rankings' features.
    entity
        What it describes.
    column
        The column of the pool (`sources.registry`) that it is computed from; "": of none.
    """

    name: str
    part: str
    meaning: str
    unit: str = ""
    origin: Origin | None = None
    version: int = 1
    entity: Entity = Entity.CANDIDATE
    column: str = ""

    def lacking(self) -> Iterator[str]:
        """Yield what its declaration lacks, in words; nothing where it is complete."""
        for field in ("name", "part", "meaning", "unit"):
            if not getattr(self, field).strip():
                yield f"has no {field}"
        if self.origin is None:
            yield "has no origin; see online_models/ranking/features/origins.py"
        elif not (self.origin.name and self.origin.state and self.origin.freshness):
            yield "has an origin without a name, a state or a freshness"
        if self.version < 1:
            yield f"has the version {self.version}; versions begin with 1"
