"""How good answers are when little is known: a new visitor, a new item, a new shop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from evaluation.catalogues import load_items
from evaluation.datasets import Session, load_sessions, split_last
from evaluation.first_pages import first_page_rows
from evaluation.held_back import HeldBack, hold_back
from evaluation.prequential import learn_all, score_all
from evaluation.progress import Progress, silent
from evaluation.public_splits import rsc15_week
from evaluation.rankings import make_engine, put_items
from nextclick.codec import Item
from online_models import metrics

K = 20
STEPS = (1_000, 5_000, 20_000, 50_000)
"""Ends of the ranges of clicks that a new shop is measured in."""

HEAD = """
## Cold start

HR@20 in percent where little is known (prequential), and how related the results of SimilarItems
are for items without clicks. Of first pages by context, which the models learned from as many other
sessions before, with the difference to what is popular everywhere and its 95 % interval.

| | % |
| --- | --- |
"""

HELD_BACK_HEAD = """
## Items that nobody has clicked

Each tenth item is held back: the catalogue has it, the training clicks do not (`evaluation/
held_back.py`). HR@20 / MRR@20 in percent of the first five clicks of the items that were held
back, by models that know what items are (whose candidates have new items that are like the
session's), by models that do not, and of a page of popular items; and what content changes for all
cases, in points, with 95 % intervals.

| data | cases | with content | without | popular items | all cases, with - without |
| --- | --- | --- | --- | --- | --- |
"""


def cold_start(data: Path, sample: Path, progress: Progress = silent) -> str:
    """Return the section of the results page; rows whose data are missing are left out.

    Parameters
    ----------
    data
        Folder of the public data; new items need ``ml_100k`` in it, first pages by context
        ``trivago_100k``.
    sample
        Folder of serenade_example: ``train``, ``valid`` and ``test.txt.gz``.
    progress
        Told how far it is.
    """
    progress("cold start", 0, 3, "new visitor")
    train = load_sessions(sample / "train.txt.gz")
    live = [s for name in ("valid", "test") for s in load_sessions(sample / f"{name}.txt.gz")]
    rows = new_visitor(train, live)
    trivago = data / "trivago_100k" / "trivago_val_100k.csv.gz"
    if trivago.exists():
        rows += first_page_rows(trivago)
    progress("cold start", 1, 3, "new shop")
    rows += new_shop(train)
    progress("cold start", 2, 3, "new items")
    ratings, items = data / "ml_100k" / "ml-100k.inter.gz", data / "ml_100k" / "ml-100k.item"
    if ratings.exists() and items.exists():
        rows += new_items(load_sessions(ratings), load_items(items))
    progress("cold start", 3, 3, "")
    text = HEAD + "".join(f"| {name} | {figure} |\n" for name, figure in rows)
    return text + held_back_items(data, progress)


def held_back_items(data: Path, progress: Progress = silent) -> str:
    """Return the section on items that are held back; splits whose data are missing are left out.

    ml_100k: the last fifth of its users are predicted.
    """
    lines: list[str] = []
    ratings, films = data / "ml_100k" / "ml-100k.inter.gz", data / "ml_100k" / "ml-100k.item"
    if ratings.exists() and films.exists():
        train, test = split_last(load_sessions(ratings), 0.2)
        lines += held_back_lines("ml_100k", train, test, load_items(films))
    progress("held-back items", 1, 2, "")
    week = data / "rsc15_64_timed"
    if week.exists():
        of_week, after = rsc15_week(week)
        items = load_items(week / "rsc15_train_full.txt.gz")
        lines += held_back_lines("rsc15, by category", of_week, after, items)
    progress("held-back items", 2, 2, "")
    return HELD_BACK_HEAD + "".join(lines) if lines else ""


def held_back_lines(
    name: str, train: Sequence[Session], test: Sequence[Session], items: Sequence[Item]
) -> list[str]:
    """Return two rows: nothing of the test is learned, and all of it once it was scored."""
    return [
        held_back_line(f"{name}, {how}", hold_back(train, test, items, learn=learn))
        for how, learn in (("static", False), ("prequential", True))
    ]


def held_back_line(name: str, found: HeldBack) -> str:
    """Return a row of the table of held-back items."""
    f = found.figures()
    together = (
        f"{rate(f['hit_rate_all_gain'])} ± {rate(f['hit_rate_all_gain_95'])} / "
        f"{rate(f['mrr_all_gain'])} ± {rate(f['mrr_all_gain_95'])}"
    )
    pairs = [
        f"{rate(f[f'hit_rate_{of}'])} / {rate(f[f'mrr_{of}'])}"
        for of in ("content", "without", "popular")
    ]
    cells = (name, f"{int(f['cases_held_back']):,}", *pairs, together)
    return f"| {' | '.join(cells)} |\n"


def new_visitor(train: Sequence[Session], live: Sequence[Session]) -> list[tuple[str, str]]:
    """Return how often a session's first click is among the items that are popular then."""
    engine = make_engine("ranker", 0)
    learn_all(engine, train)
    hits = []
    for session in live:
        answered = [engine.item_id(row) for row in engine.recommend([], K).rows]
        hits.append(session.items[0] in answered)
        number = engine.open_session()
        for item_id in session.items:
            engine.learn(number, item_id)
    share = sum(hits) / len(hits)
    return [(f"new visitor, no click yet (serenade_example, {len(hits):,} sessions)", rate(share))]


def new_shop(sessions: Sequence[Session]) -> list[tuple[str, str]]:
    """Return how good an empty shop's answers are after the first so many clicks."""
    engine = make_engine("ranker", 0)
    cases, _ = score_all(engine, sessions, learn=True, min_prefix=1, k=K)
    share = len(cases.ranks) / sum(len(s.items) for s in sessions)
    rows = []
    for start, end in zip((0, *STEPS), STEPS, strict=False):
        part = cases.ranks[round(start * share) : round(end * share)]
        name = f"new shop, clicks {start:,} to {end:,} (serenade_example)"
        rows.append((name, rate(metrics.hit_rate(part, K))))
    return rows


def new_items(sessions: list[Session], items: Sequence[Item]) -> list[tuple[str, str]]:
    """Return how well SimilarItems answers for items that have content but no clicks.

    Every tenth item is taken out of all sessions. The items similar to it are compared with the
    popular ones: the mean, over the items listed, of the share of genres in common (Jaccard).
    """
    hidden = [item.item_id for item in sorted(items, key=lambda i: int(i.item_id))[::10]]
    gone = set(hidden)
    seen = [Session(s.session_id, tuple(i for i in s.items if i not in gone)) for s in sessions]
    engine = make_engine("ranker", 0)
    put_items(engine, items)
    learn_all(engine, [s for s in seen if s.items])
    index = engine.begin_index(time.monotonic)
    index.swap(index.build())
    genres = {item.item_id: set(item.categories) for item in items}
    popular = [engine.item_id(row) for row in engine.recommend([], K).rows]
    near, plain = [], []
    for item_id in hidden:
        similar = engine.similar(engine.row(item_id), K).rows
        near += [jaccard(genres[item_id], genres[engine.item_id(row)]) for row in similar]
        plain += [jaccard(genres[item_id], genres[other]) for other in popular]
    name = f"genres shared by a new item and its SimilarItems (ml_100k, {len(hidden)} items)"
    return [
        (name, rate(sum(near) / len(near))),
        ("the same for the popular items", rate(sum(plain) / len(plain))),
    ]


def jaccard(a: set[str], b: set[str]) -> float:
    """Return what two sets have in common, as a share of what either has."""
    return len(a & b) / max(len(a | b), 1)


def rate(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.2f}"
