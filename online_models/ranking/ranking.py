"""What a ranking declares."""

from __future__ import annotations

from dataclasses import dataclass

from numba import njit

from online_models.memory.chain import Kernel
from online_models.memory.state import State
from online_models.memory.table import Table


@njit(cache=True)
def never(st: State) -> bool:
    """It answers nobody."""
    return False


@dataclass(frozen=True)
class Ranking:
    """An order of the candidates; list it in `rankings.RANKINGS`.

    Parameters
    ----------
    name
        What status, impressions and the scoreboard call it.
    score
        Kernel ``(st) -> bool``: sets ``st.ranking_score[:n]`` for the candidates
        ``st.candidates[:n]``, n = ``st.found[0].candidates``; false if it cannot order these.
    answers
        Kernel ``(st) -> bool``: whether it may answer. One that never may is ranked in the
        shadow only, to be scored.
    learn
        Kernel ``(st)``: learns ``st.click``, where the ranking has state of its own.
    tables
        What it keeps.
    """

    name: str
    score: Kernel
    answers: Kernel = never
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
