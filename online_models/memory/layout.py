"""How large the models may grow.

Everything that the models know is in flat tables, allocated once at their limits. Zeroed pages take
no memory until they are touched, so a high limit costs nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the models' memory.

    Parameters
    ----------
    max_items
        Items that may have a row.
    max_sessions
        Sessions kept, a power of two; new ones overwrite the oldest.
    rules_per_item, ring_per_item
        Mean number of entries per item in the two arenas; an item may take up to 128 and 512.
    pairs
        Pairs of items with known successors, a power of two; a new pair overwrites the
        one with the same hash.
    provisional_share
        Share of the rows that may go to items that are neither in the catalogue nor clicked in
        two sessions. It keeps ids that a bot makes up from filling the table.

    Notes
    -----
    `online_models.state_tables.max_bytes` is the memory that all tables take at their limits.
    """

    max_items: int = 1 << 18
    max_sessions: int = 1 << 20
    rules_per_item: int = 64
    ring_per_item: int = 64
    pairs: int = 1 << 20
    provisional_share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("max_sessions", "pairs"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        if not 1 <= self.max_items <= 1 << 27:
            raise ValueError(f"max_items must be 1..{1 << 27}, not {self.max_items}")

    @property
    def rows(self) -> int:
        """Rows of a table by item; row 0 means "no item"."""
        return self.max_items + 1


SMALLEST = Limits(max_items=1, max_sessions=1, rules_per_item=1, ring_per_item=1, pairs=1)
"""Limits of the tables that a stand-alone learner does not use."""
