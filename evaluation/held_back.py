"""How often items that nobody has clicked are found: some are held back from the training clicks.

Every tenth item keeps its catalogue entry and loses all of its training clicks. Test cases are
answered with and without the source of new items (`online_models.content.new_items`). First clicks
of held-back items say what the source finds; all others say what its places on the page cost, and
all cases together whether it is worth that. Static: nothing of the test is learned, so that each
click is a first one. Prequential: each test click is learned once it is scored, and the first
`FIRST_CLICKS` of an item are its first ones.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Session, clicks_in_order
from evaluation.prequential import learn_all, second
from evaluation.progress import Progress, silent
from evaluation.rankings import make_engine, put_items
from nextclick.codec import Item
from nextclick.limits import SESSION_STEPS
from online_models import metrics
from online_models.content.terms import Content, counted
from online_models.engine import Engine
from online_models.ranking.request import NO_SESSION

K = 20
EACH = 10
"""One item in so many is held back."""

FIRST_CLICKS = 5
"""So many clicks of a held-back item are its first ones."""

LISTS = 8
"""The most lists that an answer may have asked for."""


@dataclass(frozen=True)
class HeldBack:
    """Ranks of the targets, (cases,), 0 for those not among the first 20.

    Attributes
    ----------
    held
        Whether each case is one of the first clicks of an item that was held back.
    source, without, popular
        Ranks with the source of new items, without it, and among the popular items.
    """

    held: NDArray[np.bool_]
    source: NDArray[np.int64]
    without: NDArray[np.int64]
    popular: NDArray[np.int64]

    def figures(self) -> dict[str, float]:
        """Return HR@20 and MRR@20 of each, and what the source changes for the others, and for all.

        Changes come with half of their 95 % interval.
        """
        found: dict[str, float] = {"cases_held_back": int(self.held.sum())}
        for name in ("source", "without", "popular"):
            ranks = getattr(self, name)[self.held]
            found[f"hit_rate_{name}"] = metrics.hit_rate(ranks, K)
            found[f"mrr_{name}"] = metrics.mrr(ranks, K)
        for group, of in (("others", ~self.held), ("all", np.ones(len(self.held), np.bool_))):
            for name, gain in (("hit_rate", hits), ("mrr", reciprocals)):
                more = gain(self.source[of]) - gain(self.without[of])
                found[f"{name}_{group}"] = float(gain(self.without[of]).mean())
                found[f"{name}_{group}_gain"] = float(more.mean())
                found[f"{name}_{group}_gain_95"] = float(1.96 * more.std() / np.sqrt(len(more)))
        return found


def hits(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 for each target that was found."""
    return (ranks > 0).astype(np.float64)


def reciprocals(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 / place of each target, 0 for those that were not found."""
    return np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)


def every_tenth(items: Sequence[Item], first: int = 0) -> set[str]:
    """Return the items to hold back, by id; another ``first`` gives others."""
    return {item.item_id for item in sorted(items, key=lambda i: i.item_id)[first::EACH]}


def without_clicks_on(sessions: Sequence[Session], items: Collection[str]) -> list[Session]:
    """Return the sessions without their clicks on some items."""
    kept = []
    for s in sessions:
        places = [place for place, item in enumerate(s.items) if item not in items]
        if places:
            times = tuple(s.times_ms[place] for place in places) if s.times_ms else None
            kept.append(Session(s.session_id, tuple(s.items[place] for place in places), times))
    return kept


def put_contents(engine: Engine, items: Sequence[Item]) -> None:
    """Give the items of a catalogue their content vectors."""
    seconds = itertools.count(1)  # each look at the clock is a second later: lists are made anew
    content = engine.begin_content(lambda: float(next(seconds)))
    for item in items:
        row = engine.row(item.item_id)
        if row:
            is_now = Content(
                item.categories, item.attributes, item.title, item.kind, item.description
            )
            engine.put_content(row, counted(is_now))
    content.refit()


def hold_back(
    train: Sequence[Session],
    test: Sequence[Session],
    items: Sequence[Item],
    first: int = 0,
    *,
    learn: bool = False,
    progress: Progress = silent,
) -> HeldBack:
    """Learn without every tenth item, and answer the test cases.

    Parameters
    ----------
    train, test
        Sessions to learn from, and to predict.
    items
        The catalogue: held-back items are known by it alone.
    first
        Place of the first item that is held back.
    learn
        Whether each test click is learned after it was scored.
    progress
        Told how far it is.
    """
    held = every_tenth(items, first)
    engine = make_engine("ranker", 0)
    put_items(engine, items)
    learn_all(engine, without_clicks_on(train, held), progress, "learning")
    put_contents(engine, items)
    ranks: list[list[int]] = []
    of_held: list[bool] = []
    numbers: dict[int, int] = {}
    learned: Counter[str] = Counter()
    for s, p in clicks_in_order(test):
        session = test[s]
        if p == 0:
            numbers[s] = engine.open_session() if learn else NO_SESSION
        else:
            rows = engine.rows_of(session.items[max(0, p - SESSION_STEPS) : p])
            times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1))
            target = engine.row(session.items[p])
            popular = engine.recommend([], K).rows.tolist()
            source, without = both_ways(engine, rows, numbers[s], times_s)
            ranks.append([place_of(target, of) for of in (source, without, popular)])
            of_held.append(session.items[p] in held and learned[session.items[p]] < FIRST_CLICKS)
        if learn:
            learned[session.items[p]] += 1
            engine.learn(numbers[s], session.items[p], at_s=second(session, p))
    found = np.array(ranks, np.int64).reshape(-1, 3)
    return HeldBack(np.array(of_held, bool), found[:, 0], found[:, 1], found[:, 2])


def both_ways(
    engine: Engine, rows: list[int], number: int, times_s: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """Return the rows of the answer with the source of new items, and of that without it."""
    new_items = engine.new_items
    assert new_items is not None
    engine.recommend(rows, K, number, times_s=times_s)
    new_items.lists.make(LISTS)
    source = engine.recommend(rows, K, number, times_s=times_s).rows.tolist()
    engine.new_items = None
    without = engine.recommend(rows, K, number, times_s=times_s).rows.tolist()
    engine.new_items = new_items
    return source, without


def place_of(target: int, listed: list[int]) -> int:
    """Return the place of a row in a list, from 1; 0 if it is not there."""
    return listed.index(target) + 1 if target and target in listed else 0
