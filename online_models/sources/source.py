"""What a candidate source declares."""

from __future__ import annotations

from dataclasses import dataclass

from online_models.memory.chain import Kernel
from online_models.memory.table import Table


@dataclass(frozen=True)
class Column:
    """A score that a source gives to items; not negative, 0 for items that it has not found.

    Parameters
    ----------
    name
        Name of the column, and of the feature that is its share of the best score in the pool.
    reason
        Reason that `Recommend` with `explain` gives where this score contributed.
    weight, root_weight
        Initial weights of the share and of its root in the blend (`ranking.blend`).
    part
        Name under which ``nextclick bench frontier`` leaves out this column alone; "": it does
        not.
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
        Its name in ``nextclick bench frontier``.
    columns
        The scores that it gives.
    facts
        Further columns of the pool that it fills; only features read them.
    names_at_most
        The most items that it adds to the pool of one answer.
    retrieve
        Kernel ``(st, column, fact)``: adds items for ``st.query`` with `pool.place_in_pool`, and
        adds to their scores. ``column`` and ``fact`` are the places of its first column and first
        fact in a row of the pool.
    learn
        Kernel ``(st)``: learns ``st.click``, which has already been added to its session.
    tables
        Its tables.
    """

    name: str
    columns: tuple[Column, ...] = ()
    facts: tuple[str, ...] = ()
    names_at_most: int = 0
    retrieve: Kernel | None = None
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
