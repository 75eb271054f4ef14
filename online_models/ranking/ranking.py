"""Declaration of a ranking."""

from __future__ import annotations

from dataclasses import dataclass

from numba import njit

from online_models.memory.chain import Kernel
from online_models.memory.state import State
from online_models.memory.table import Table


@njit(cache=True)
def never(st: State) -> bool:
    """Return False: the ranking is only scored in the shadow."""
    return False


@dataclass(frozen=True)
class Ranking:
    """A way to order the candidates; list it in `rankings.RANKINGS`.

    Parameters
    ----------
    name
        Its name in status, impressions and the scoreboard.
    score
        Kernel ``(st) -> bool``: sets ``st.ranking_score[:n]`` for the candidates
        ``st.candidates[:n]``, n = ``st.found[0].candidates``; false if it cannot order them.
    answers
        Kernel ``(st) -> bool``: whether it may answer. A ranking that never may is only scored in
        the shadow.
    learn
        Kernel ``(st)``: learns ``st.click``, where the ranking has state of its own.
    tables
        Its tables.
    """

    name: str
    score: Kernel
    answers: Kernel = never
    learn: Kernel | None = None
    tables: tuple[Table, ...] = ()
