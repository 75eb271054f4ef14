"""What is answered when little is known: a new visitor, a new item, a new shop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cli.catalogue import load_items
from cli.console import err
from cli.datasets import SAMPLE, Session, load_sessions, split_last
from cli.evaluate import make_engine
from cli.evaluation import Cases, learn_all, score_all
from nextclick.codec import Item
from online_models import metrics
from online_models.engine import Engine

K = 20
STEPS = (1_000, 5_000, 20_000, 50_000)
HEAD = """
## Cold start

HR@20 where little is known; the models go on learning (prequential) unless it says otherwise.

| | HR@20 |
| --- | --- |
"""


def cold_start(data: Path) -> str:
    """Return the section of the results page; rows whose data are missing are left out."""
    with err.status("cold start"):
        rows = new_visitor() + new_shop()
        ratings, items = data / "ml_100k" / "ml-100k.inter.gz", data / "ml_100k" / "ml-100k.item"
        if ratings.exists() and items.exists():
            rows += new_items(load_sessions(ratings), load_items(items))
    return HEAD + "".join(f"| {name} | {figure} |\n" for name, figure in rows)


def new_visitor() -> list[tuple[str, str]]:
    """How often the first click of a session is among the popular items of the moment."""
    engine = make_engine("ranker", 0)
    learn_all(engine, load_sessions(SAMPLE / "train.txt.gz"), lambda *_: None)
    live = [s for name in ("valid", "test") for s in load_sessions(SAMPLE / f"{name}.txt.gz")]
    hits = []
    for session in live:
        answered = [engine.item_id(row) for row in engine.recommend([], K).rows]
        hits.append(session.items[0] in answered)
        number = engine.open_session()
        for item_id in session.items:
            engine.learn(number, item_id)
    share = sum(hits) / len(hits)
    return [(f"new visitor, no click yet (serenade_example, {len(hits):,} sessions)", rate(share))]


def new_shop() -> list[tuple[str, str]]:
    """How good an empty shop is after so many clicks."""
    engine = make_engine("ranker", 0)
    sessions = load_sessions(SAMPLE / "train.txt.gz")
    cases, _ = score_all(engine, sessions, learn=True, min_prefix=1, k=K, tick=lambda *_: None)
    share = len(cases.ranks) / sum(len(s.items) for s in sessions)
    rows = []
    for start, end in zip((0, *STEPS), STEPS, strict=False):
        part = cases.ranks[round(start * share) : round(end * share)]
        name = f"new shop, clicks {start:,} to {end:,} (serenade_example)"
        rows.append((name, rate(metrics.hit_rate(part, K))))
    return rows


def new_items(sessions: list[Session], items: Sequence[Item]) -> list[tuple[str, str]]:
    """How often items that nobody has turned to are found, with and without their content.

    The last tenth of the sessions is the test; a tenth of the items, every tenth by id, is taken
    out of the training sessions.
    """
    hidden = {item.item_id for item in sorted(items, key=lambda i: int(i.item_id))[::10]}
    train, test = split_last(sessions, 0.1)
    seen = [Session(s.session_id, tuple(i for i in s.items if i not in hidden)) for s in train]
    rows = []
    for name, catalogue in (("without content", ()), ("with genres and title", items)):
        engine = make_engine("ranker", 0)
        put(engine, catalogue)
        learn_all(engine, [s for s in seen if s.items], lambda *_: None)
        cases = static(engine, test)
        found = [r for r, cold in zip(cases.ranks, cases.cold, strict=True) if cold]
        rows.append(
            (
                f"new item {name} (ml_100k, static, {len(found):,} cases)",
                rate(metrics.hit_rate(found, K)),
            )
        )
        rows.append((f"  all items {name}", rate(metrics.hit_rate(cases.ranks, K))))
    return rows


def static(engine: Engine, test: Sequence[Session]) -> Cases:
    """Score a file without learning from it."""
    cases, _ = score_all(engine, test, learn=False, min_prefix=1, k=K, tick=lambda *_: None)
    return cases


def put(engine: Engine, items: Sequence[Item]) -> None:
    """Give the models a catalogue."""
    for item in items:
        engine.put_item(item.item_id, item.available, item.categories, item.attributes, item.title)


def rate(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.2f}"
