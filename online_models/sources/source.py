"""What a candidate source declares."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.memory.chain import Kernel
from online_models.memory.table import Table


@dataclass(frozen=True)
class Column:
    """A score that a source gives to items; not negative, 0 for those that it does not name.

    Parameters
    ----------
    name
        Of the column, and of the feature that is its share of the best score in the pool.
    reason
        What `Recommend` with `explain` says where this score made the answer.
    weight, root_weight
        Weights of the share and of its root that the blend begins with (`ranking.blend`).
    part
        Name of the column as a part of its own in ``nextclick bench frontier``; "": none.
    """

    name: str
    reason: str
    weight: float = 0.0
    root_weight: float = 0.0
    part: str = ""


@dataclass(frozen=True)
class Source:
    """A candidate source; list it in `registry.SOURCES`.

    Parameters
    ----------
    name
        What it is called in ``nextclick bench frontier``.
    columns
        Scores that it gives.
    facts
        Further columns of the pool that it fills, which only features read.
    names_at_most
        Items that it names at most for one answer.
    retrieve
        Kernel ``(st, column, fact)``: names items for ``st.query``, with `pool.place_in_pool`, and
        adds to their scores. Its first column and fact lie at these places of a pool row.
    learn
        Kernel ``(st)``: learns ``st.click``, after it was put into its session.
    tables
        What it keeps.
    """

    name: str
    columns: tuple[Column, ...] = ()
    facts: tuple[str, ...] = ()
    names_at_most: int = 0
    retrieve: Kernel | None = None
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
