"""``nextclick evaluate``: how good the recommendations are on a file of clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import bars, print_json, print_result, print_table
from cli.errors import CommandError
from cli.figures import count, hundredths, interval, microseconds, percent, seconds
from cli.files import (
    ItemColumn,
    SessionColumn,
    TimeColumn,
    TypeColumn,
    UserColumn,
    check_writable,
    read_files,
)
from cli.options import Json, Seed
from evaluation.catalogues import load_items
from evaluation.charts import draw_comparison
from evaluation.click_files.columns import Columns
from evaluation.datasets import Session, split_last
from evaluation.known_users import HELD_OUT as HELD_OUT_USERS
from evaluation.known_users import Row, known_users
from evaluation.prequential import Cases
from evaluation.rankings import (
    MODELS,
    NEEDS_CATALOGUE,
    Settings,
    check_ranking,
    evaluate_ranking,
)
from online_models.ranking.page import MAX_ANSWER

HELD_OUT = 0.1
"""Share of the training sessions that is predicted if there is no test file."""

COLUMNS = {
    "hit_rate": "hit rate",
    "hit_rate_new": "of items new\nto the session",
    "mrr": "MRR",
    "ndcg": "NDCG",
}
"""Figures of a comparison that have an interval, and their headings."""


class Protocol(StrEnum):
    """What the models learn from the test file: nothing, or each click after it was scored."""

    STATIC = "static"
    PREQUENTIAL = "prequential"


def evaluate(
    train: Annotated[
        list[Path],
        typer.Option(
            help="Clicks to learn from; several files are read as one log.",
            exists=True,
            dir_okay=False,
        ),
    ],
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="Clicks to predict; several files are read as one log. "
            "Without it the last tenth of the training sessions.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="Learn while testing?")] = Protocol.STATIC,
    model: Annotated[
        str,
        typer.Option(
            help=f"The ranking: {', '.join(MODELS)}.", autocompletion=lambda: list(MODELS)
        ),
    ] = "ranker",
    compare: Annotated[bool, typer.Option("--compare", help="Run all rankings.")] = False,
    min_prefix: Annotated[int, typer.Option(min=1, help="Clicks before the first case.")] = 1,
    k: Annotated[int, typer.Option("-k", min=1, max=MAX_ANSWER, help="Length of the lists.")] = 20,
    seed: Seed = 0,
    items: Annotated[
        Path | None,
        typer.Option(help="Catalogue known from the start.", exists=True, dir_okay=False),
    ] = None,
    ranks: Annotated[
        Path | None,
        typer.Option(help="Write session, position and rank of each case.", dir_okay=False),
    ] = None,
    users: Annotated[
        bool,
        typer.Option(
            "--users",
            help="With and without what users did before, by clicks of the session. "
            "Without --test the last fifth of the sessions.",
        ),
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(help="With --compare: draw the rankings into this SVG file.", dir_okay=False),
    ] = None,
    session: SessionColumn = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time: TimeColumn = None,
    type_: TypeColumn = None,
    json: Json = False,
) -> None:
    """Learn a file click by click, then predict every next click of another.

    nextclick evaluate --train train.txt.gz --test test.txt.gz --protocol prequential
    """
    check_options(model, ranks, chart, compare=compare, users=users)
    columns = Columns(session, user, item, time, type_)
    sessions, _ = read_files(train, columns)
    if test:
        tested, _ = read_files(test, columns)
    else:
        if len(sessions) < 2:
            raise CommandError(f"{train[0]}: a single session cannot be split; give --test")
        sessions, tested = split_last(sessions, HELD_OUT_USERS if users else HELD_OUT)
    if users:
        evaluate_users(sessions, tested, seed, learn=protocol is Protocol.PREQUENTIAL, json=json)
        return
    check_cases(tested, min_prefix)
    catalogue = load_items(items) if items else []
    settings = Settings(
        learn=protocol is Protocol.PREQUENTIAL,
        min_prefix=min_prefix,
        k=k,
        seed=seed,
        catalogue=catalogue,
    )
    if compare:
        compared = [name for name in MODELS if catalogue or name != NEEDS_CATALOGUE]
        with bars() as progress:
            results = {
                name: evaluate_ranking(name, sessions, tested, settings, progress)[0]
                for name in compared
            }
        title = f"{protocol} evaluation, k = {k}"
        if chart is not None:
            draw_comparison(chart, title, results)
        if json:
            print_json({"protocol": protocol, "models": results})
        else:
            print_comparison(title, results)
        return
    with bars() as progress:
        result, cases = evaluate_ranking(model, sessions, tested, settings, progress)
    if ranks is not None:
        write_ranks(ranks, cases)
    if json:
        print_json(result)
    else:
        print_figures(f"{protocol} evaluation of the ranking {model}", result, k)


def evaluate_users(
    train: Sequence[Session], test: Sequence[Session], seed: int, *, learn: bool, json: bool
) -> None:
    """Print what it is worth to know what users did before."""
    with bars() as progress:
        rows = known_users(train, test, seed, learn=learn, progress=progress)
    if not rows:
        raise CommandError(
            "no session to test is of a user with an earlier one: --users needs a column of users "
            "and a clock; name the column with --user"
        )
    if json:
        print_json({"groups": [asdict(row) for row in rows]})
    else:
        print_users(rows)


def check_options(
    model: str, ranks: Path | None, chart: Path | None, *, compare: bool, users: bool = False
) -> None:
    """Raise an error for options that cannot be, before the work."""
    check_ranking(model)
    if users and (compare or ranks is not None or model != "ranker"):
        raise CommandError(
            "--users compares the ranker with itself: leave out --compare, --model and --ranks"
        )
    if chart is not None and not compare:
        raise CommandError("--chart draws a comparison: add --compare")
    if ranks is not None and compare:
        raise CommandError("--ranks writes the cases of one ranking: leave out --compare")
    check_writable(ranks, chart)


def check_cases(tested: Sequence[Session], min_prefix: int) -> None:
    """Raise an error if no session has a click to predict."""
    if not any(len(session.items) > min_prefix for session in tested):
        raise CommandError(
            f"there is nothing to predict: no session to test has more than {min_prefix} clicks; "
            "lower --min-prefix, or give longer sessions"
        )


def write_ranks(path: Path, cases: Cases) -> None:
    """Write one line per case: session_id, position of the target (from 1), rank (0: absent)."""
    with path.open("w") as file:
        for case in zip(cases.session_ids, cases.positions, cases.ranks, strict=True):
            file.write("\t".join(map(str, case)) + "\n")


def print_figures(title: str, result: dict[str, Any], k: int) -> None:
    """Print the figures of a ranking's lists of ``k``."""

    def rate(name: str) -> str:
        return f"{percent(result[name])} ({interval(result[f'{name}_95'])})"

    def times(name: str) -> str:
        return microseconds(*(result[name][figure] for figure in ("mean", "p50", "p99")))

    rows = {
        "cases": count(result["cases"]),
        "  of items that the session has already": percent(result["repeat_share"]),
        "  of items without a click before": count(result["cold_cases"]),
        f"hit rate@{k}": rate("hit_rate"),
        "  of items new to the session": rate("hit_rate_new"),
        "  of items without a click": percent(result["hit_rate_cold"]),
        f"MRR@{k}": rate("mrr"),
        f"NDCG@{k}": rate("ndcg"),
        "next item among the candidates": percent(result["candidate_recall"]),
        "share of all items that was listed": percent(result["coverage"]),
        "learning a click, mean, p50, p99": times("learn_us"),
        "answer, mean, p50, p99": times("recommend_us"),
        "time": seconds(result["seconds"]),
    }
    print_result(f"{title}; with intervals of 95 %", rows)


def print_users(rows: Sequence[Row]) -> None:
    """Print a row for each number of clicks that sessions had."""

    def both(pair: tuple[float, float], bounds: tuple[float, float]) -> str:
        low, high = (f"{100 * bound:+.2f}" for bound in bounds)
        more = f"{100 * (pair[1] - pair[0]):+.2f} ({low} to {high})"
        return f"{' -> '.join(map(hundredths, pair))}\n{more}"

    print_table(
        "Without and with what users did before; in %, differences with intervals of 95 %",
        ("the session has", "cases", "hit rate", "MRR"),
        [
            (
                row.clicks,
                count(row.cases),
                both(row.hit_rate, row.hit_rate_95),
                both(row.mrr, row.mrr_95),
            )
            for row in rows
        ],
    )


def print_comparison(title: str, results: dict[str, dict[str, Any]]) -> None:
    """Print one row per ranking: each figure, and below it where it is with 95 % certainty."""
    rows = []
    for ranking, result in results.items():
        cells = (
            f"{hundredths(result[name])}\n{interval(result[f'{name}_95'], 1)}" for name in COLUMNS
        )
        rows.append((ranking, *cells, hundredths(result["coverage"])))
    columns = ("ranking", *COLUMNS.values(), "coverage")
    print_table(f"{title}; in %, with intervals of 95 %", columns, rows)
