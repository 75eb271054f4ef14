"""Declaration of a family of features of the rankings."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.memory.chain import Kernel
from online_models.memory.table import Table
from online_models.ranking.features.feature import Entity, Feature

__all__ = ["Entity", "Family", "Feature"]


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
