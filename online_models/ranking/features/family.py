"""What a family of features declares."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.memory.chain import Kernel
from online_models.memory.table import Table


@dataclass(frozen=True)
class Feature:
    """A number that the rankings see of a candidate.

    Parameters
    ----------
    name
        Unique; part of the schema that weights and examples carry.
    part
        What ``nextclick bench frontier`` leaves out together.
    meaning
        What it is, with its unit.
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
        Kernel ``(st)``: learns ``st.click``, where the features have state of their own.
    tables
        What the family keeps.
    """

    features: tuple[Feature, ...]
    fill: Kernel
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
