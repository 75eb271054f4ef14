"""How often items that nobody has clicked are found: some are held back from the training clicks.

Every tenth item keeps its catalogue entry and loses all of its training clicks. Test cases are
answered by models that know what items are, whose candidates have new items like the session's
(`online_models.sources.new_items`), and by models that do not. First clicks of held-back items say
what that finds; all others say what it costs, and all cases together whether it is worth that.
Static: nothing of the test is learned, so that each click is a first one. Prequential: each test
click is learned once it is scored, and the first `FIRST_CLICKS` of an item are its first ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Session, clicks_in_order
from evaluation.prequential import second
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

LISTED_EVERY = 5_000
"""Clicks after which the lists of new items are made again: the server does so all ten minutes."""


@dataclass(frozen=True)
class HeldBack:
    """Ranks of the targets, (cases,), 0 for those not among the first 20.

    Attributes
    ----------
    held
        Whether each case is one of the first clicks of an item that was held back.
    content, without, popular
        Ranks with new items by content, without them, and among the popular items.
    """

    held: NDArray[np.bool_]
    content: NDArray[np.int64]
    without: NDArray[np.int64]
    popular: NDArray[np.int64]

    def figures(self) -> dict[str, float]:
        """Return HR@20 and MRR@20 of each, and what content changes for the others, and for all.

        Changes come with half of their 95 % interval.
        """
        found: dict[str, float] = {"cases_held_back": int(self.held.sum())}
        for name in ("content", "without", "popular"):
            ranks = getattr(self, name)[self.held]
            found[f"hit_rate_{name}"] = metrics.hit_rate(ranks, K)
            found[f"mrr_{name}"] = metrics.mrr(ranks, K)
        for group, of in (("others", ~self.held), ("all", np.ones(len(self.held), np.bool_))):
            for name, gain in (("hit_rate", hits), ("mrr", reciprocals)):
                more = gain(self.content[of]) - gain(self.without[of])
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
    content = engine.begin_content(lambda: 0.0)
    for item in items:
        row = engine.row(item.item_id)
        if row:
            is_now = Content(
                item.categories, item.attributes, item.title, item.kind, item.description
            )
            engine.put_content(row, counted(is_now))
    content.refit()


def list_new_items(engine: Engine) -> None:
    """Put all new items on the lists of those that they are like."""
    if engine.new_items is not None:
        engine.new_items.renew()
        while engine.new_items.list_next():
            pass


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
    ranks: list[NDArray[np.int64]] = []
    for contents in (items, ()):
        engine = make_engine("ranker", 0)
        put_items(engine, items)
        put_contents(engine, contents)
        _learn(engine, without_clicks_on(train, held), progress)
        ranks.append(_ranks(engine, test, learn=learn))
    learned: Counter[str] = Counter()
    of_held = []
    for s, p in clicks_in_order(test):
        item = test[s].items[p]
        if p > 0:
            of_held.append(item in held and learned[item] < FIRST_CLICKS)
        learned[item] += learn
    content, without = ranks
    return HeldBack(np.array(of_held, bool), content[:, 0], without[:, 0], without[:, 1])


def _learn(engine: Engine, sessions: Sequence[Session], progress: Progress) -> None:
    order = clicks_in_order(sessions)
    numbers: dict[int, int] = {}
    for done, (s, p) in enumerate(order):
        if done % LISTED_EVERY == 0:
            list_new_items(engine)
            progress("learning", done, len(order), "")
        if p == 0:
            numbers[s] = engine.open_session()
        engine.learn(numbers[s], sessions[s].items[p], at_s=second(sessions[s], p))


def _ranks(engine: Engine, test: Sequence[Session], *, learn: bool) -> NDArray[np.int64]:
    """Return the place of each case's target in the answer, and among the popular items, (n, 2)."""
    ranks = []
    numbers: dict[int, int] = {}
    for done, (s, p) in enumerate(clicks_in_order(test)):
        session = test[s]
        if done % LISTED_EVERY == 0:
            list_new_items(engine)
        if p == 0:
            numbers[s] = engine.open_session() if learn else NO_SESSION
        else:
            rows = engine.rows_of(session.items[max(0, p - SESSION_STEPS) : p])
            times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1))
            answer = engine.recommend(rows, K, numbers[s], times_s=times_s).rows.tolist()
            popular = engine.recommend([], K).rows.tolist()
            target = engine.row(session.items[p])
            ranks.append([place_of(target, listed) for listed in (answer, popular)])
        if learn:
            engine.learn(numbers[s], session.items[p], at_s=second(session, p))
    return np.array(ranks, np.int64).reshape(-1, 2)


def place_of(target: int, listed: list[int]) -> int:
    """Return the place of a row in a list, from 1; 0 if it is not there."""
    return listed.index(target) + 1 if target and target in listed else 0
