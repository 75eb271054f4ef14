"""Ranking the items that a page shows anyway: the `Rank` call on the results of a hotel search."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.click_files.content import text_of
from evaluation.errors import UnreadableFileError
from evaluation.progress import Progress, silent
from evaluation.rankings import make_engine
from nextclick.limits import SESSION_STEPS
from online_models import metrics
from online_models.engine import Engine
from online_models.ranking.page import FILL_SCORE

CLICKOUT = "clickout item"
ORDERS = (
    "displayed order",
    "the session's own items, latest first, then displayed order",
    "`Rank`",
    "`Rank`; in displayed order whatever it has no evidence for",
)
REPORT_EVERY = 1_000
"""Steps between two reports of progress."""

HEAD = """
## Ranking what is shown

trivago_100k: at each clickout, the shown items are ranked ({shown:.0f} on average). MRR in percent
over {cases:,} clickouts, in time order, each case scored before it is learned. The displayed order
contains the shop's own ranking and its position bias, which the models never see; they only know
the clicks of these {sessions:,} sessions, and {unknown:.0f} % of the shown items have no click when
they are shown.

| ranking | MRR |
| --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Action:
    """A visitor's step at one item; ``shown`` is empty except for clickouts."""

    session_id: str
    time_s: int
    item_id: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownScore:
    """How good the rankings of shown items are; MRR as fractions."""

    cases: int
    sessions: int
    shown: float
    unknown: float
    mrr: dict[str, float]


def load_actions(path: Path) -> list[Action]:
    """Return the steps at items of a trivago log, by time.

    Raises
    ------
    UnreadableFileError
        With file and line for whatever cannot be read.
    """
    with text_of(path) as lines:
        actions = list(_actions(path, csv.DictReader(lines)))
    return sorted(actions, key=lambda action: action.time_s)


def _actions(path: Path, rows: csv.DictReader[str]) -> Iterator[Action]:
    for row in rows:
        kind, item_id = row["action_type"], row["reference"]
        if not item_id.isdigit():
            continue  # not an item: a filter, a place or a sort order
        try:
            time_s = int(row["timestamp"])
        except ValueError as e:
            raise UnreadableFileError(path, f"timestamp: {e}", rows.line_num) from e
        shown = tuple(row["impressions"].split("|")) if kind == CLICKOUT else ()
        yield Action(row["session_id"], time_s, item_id, shown)


def score_shown(
    actions: Sequence[Action], seed: int = 0, progress: Progress = silent
) -> ShownScore:
    """Rank what was shown at each clickout, then learn the click.

    Parameters
    ----------
    actions
        Steps of visitors, by time.
    seed
        Of the ranker.
    progress
        Told how far it is.
    """
    engine = make_engine("ranker", seed)
    numbers: dict[str, int] = {}
    items: dict[str, list[str]] = {}
    ranks: dict[str, list[int]] = {name: [] for name in ORDERS}
    n_shown = n_unknown = 0
    for done, action in enumerate(actions, 1):
        own = items.setdefault(action.session_id, [])
        if action.session_id not in numbers:
            numbers[action.session_id] = engine.open_session()
        number = numbers[action.session_id]
        if action.item_id in action.shown:
            n_shown += len(action.shown)
            n_unknown += sum(engine.row(item_id) == 0 for item_id in action.shown)
            for name, order in _orders(engine, action.shown, own[-SESSION_STEPS:], number).items():
                ranks[name].append(order.index(action.item_id) + 1)
        engine.learn(number, action.item_id, at_s=action.time_s)
        own.append(action.item_id)
        if done % REPORT_EVERY == 0 or done == len(actions):
            progress("trivago: shown items", done, len(actions), "")
    cases = len(ranks[ORDERS[0]])
    mrr = {name: metrics.mrr(of, 10**6) for name, of in ranks.items()}
    return ShownScore(
        cases, len(numbers), n_shown / max(cases, 1), n_unknown / max(n_shown, 1), mrr
    )


def _orders(
    engine: Engine, shown: Sequence[str], own: Sequence[str], number: int
) -> dict[str, list[str]]:
    """Return the shown items as each ranking orders them; equal ones in displayed order."""
    scores = engine.rank([engine.row(i) for i in own], [engine.row(i) for i in shown], number)
    by_model = dict(zip(shown, scores.tolist(), strict=True))
    latest = {item_id: place for place, item_id in enumerate(own)}
    orders = (
        list(shown),
        sorted(shown, key=lambda item_id: -latest.get(item_id, -1)),
        sorted(shown, key=lambda item_id: -by_model[item_id]),
        sorted(shown, key=lambda item_id: -max(by_model[item_id], FILL_SCORE)),
    )
    return dict(zip(ORDERS, orders, strict=True))


def render_shown(score: ShownScore) -> str:
    """Return the section of the results page."""
    head = HEAD.format(
        shown=score.shown, cases=score.cases, sessions=score.sessions, unknown=100 * score.unknown
    )
    return head + "".join(f"| {name} | {100 * mrr:.2f} |\n" for name, mrr in score.mrr.items())
