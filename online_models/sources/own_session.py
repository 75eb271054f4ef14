"""What was learned from the session being answered: it must not count as evidence for itself."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.tables.sessions import items_of


@njit(cache=True, inline="always")
def own_steps(st: State):  # type: ignore[no-untyped-def]
    """Return (array, first index, length) of the learned steps of the session being answered."""
    own = st.request[0].session
    slot = max(own, 0) & (len(st.sessions) - 1)
    kept, first = items_of(st, slot)
    e = st.sessions[slot]
    return kept, first, (np.int64(e.n) if e.number == own + 1 else np.int64(0))
