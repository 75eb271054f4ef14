"""Cases with features as they stood when each click came: what a model may learn from.

A case is taken before its click is learned, by the code that makes the ranker's examples, from
models that know every click before it and none after: its features hold nothing of the label, of
later clicks, or of what was learned from these. Clicks are learned in the order of their clock,
as `prequential` does. Where sessions have users, a case knows what its user did in sessions that
were over when its own began, and first clicks make cases, as for the ranker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Session, clicks_in_order
from evaluation.pasts import Pasts
from evaluation.prequential import REPORT_EVERY, second
from evaluation.progress import Progress, silent
from online_models.engine import Engine


class Case(NamedTuple):
    """A click, and what might have been clicked instead.

    Attributes
    ----------
    session_id
        The session.
    step
        Place of the click in its session, from 1; of a record: the number of the change.
    time_ms
        When the click came: milliseconds since 1970; None without a clock.
    item_ids
        The candidates, best of the blend first; () where they are not known.
    features
        (N_FEATURES, n) float32, in the order of `registry.NAMES`; the caller's own.
    target
        Place of the clicked item among the candidates, -1 if it is none of them (then n is 0).
    """

    session_id: str
    step: int
    time_ms: int | None
    item_ids: tuple[str, ...]
    features: NDArray[np.float32]
    target: int


def cases_of(
    engine: Engine,
    sessions: Sequence[Session],
    *,
    since_ms: int = 0,
    progress: Progress = silent,
    task: str = "cases",
) -> Iterator[Case]:
    """Learn sessions click by click; yield the case of each click before it is learned.

    Parameters
    ----------
    engine
        Models that have learned only what is older.
    sessions
        The clicks.
    since_ms
        Clicks before this time are learned and make no cases; milliseconds since 1970.
    progress, task
        Told how far it is, under this name.

    Yields
    ------
    Case
        Of every click but the first of its session, and of that if the user's past leads to it,
        once the models have learned enough for cases (`learners.click.LEARN_FROM_CLICK`).
    """
    order, pasts = clicks_in_order(sessions), Pasts(sessions)
    numbers: dict[int, int] = {}
    for done, (s, p) in enumerate(order, 1):
        session = sessions[s]
        if p == 0:
            numbers[s] = engine.open_session()
        time_ms = session.times_ms[p] if session.times_ms else None
        past = pasts.of(session, engine)
        if time_ms is None or time_ms >= since_ms:
            case = engine.example(numbers[s], session.items[p], past)
            if case is not None:
                ids, features = tuple(case.item_ids), case.features.copy()
                yield Case(session.session_id, p + 1, time_ms, ids, features, case.target)
        engine.learn(numbers[s], session.items[p], at_s=second(session, p), past=past)
        if p == len(session.items) - 1:
            del numbers[s]
        if done % REPORT_EVERY == 0:
            progress(task, done, len(order), "")
    progress(task, len(order), len(order), "")
