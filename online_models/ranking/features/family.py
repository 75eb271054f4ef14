"""Declaration of a family of features."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.memory.chain import Kernel
from online_models.memory.table import Table


@dataclass(frozen=True)
class Feature:
    """A number that describes a candidate to the rankings.

    Parameters
    ----------
    name
        Unique; part of the schema that weights and examples carry.
    part
        Name under which ``nextclick bench frontier`` leaves it out, together with others.
    meaning
        What it says, with its unit.
    """

    name: str
    part: str
    meaning: str


@dataclass(frozen=True)
class Family:
    """Features that are computed together; list it in `registry.FAMILIES`.

    Parameters
    ----------
    features
        In the order of their rows in ``st.features``.
    fill
        Kernel ``(st, first)``: sets ``st.features[first + j, :n]`` for the candidates
        ``st.candidates[:n]`` (places in the pool, best first), n = ``st.found[0].candidates``.
    learn
        Kernel ``(st)``: learns ``st.click``, if the features have state of their own.
    tables
        Tables of the family.
    """

    features: tuple[Feature, ...]
    fill: Kernel
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
