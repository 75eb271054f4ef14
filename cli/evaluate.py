"""``nextclick evaluate``: how good the recommendations are on a file of clicks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from cli.console import out, print_json, print_result, progress
from cli.errors import CommandError
from evaluation.baselines import VectorRanking, content_vectors, covisit_vectors
from evaluation.catalogues import load_items
from evaluation.charts import draw_comparison
from evaluation.datasets import Session, load_sessions, split_last
from evaluation.prequential import Ask, Cases, learn_all, score_all, summary
from nextclick.codec import Item
from online_models.engine import Engine, Ranked
from online_models.memory.layout import MAX_ANSWER, Limits
from online_models.ranking.blend_weights import READINGS

HELD_OUT = 0.1
RANKINGS = (
    *("popularity", "own-items", "item-knn", "rules", "covisit-vectors", "content-vectors"),
    *("session-knn", "blend", "ranker"),
)


@dataclass(frozen=True)
class Settings:
    """How the test clicks are scored."""

    learn: bool
    min_prefix: int
    k: int
    seed: int
    catalogue: Sequence[Item] = ()


class Protocol(StrEnum):
    """What the models learn from the test file: nothing, or each click after it was scored."""

    STATIC = "static"
    PREQUENTIAL = "prequential"


def evaluate(
    train: Annotated[Path, typer.Option(help="Clicks to learn from.", exists=True, dir_okay=False)],
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="Clicks to predict; several files are merged by time. "
            "Without it the last tenth of the training sessions.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="Learn while testing?")] = Protocol.STATIC,
    model: Annotated[str, typer.Option(help=f"The ranking: {', '.join(RANKINGS)}.")] = "ranker",
    compare: Annotated[bool, typer.Option("--compare", help="Run all rankings.")] = False,
    min_prefix: Annotated[int, typer.Option(min=1, help="Clicks before the first case.")] = 1,
    k: Annotated[int, typer.Option("-k", min=1, max=MAX_ANSWER, help="Length of the lists.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of whatever is random.")] = 0,
    items: Annotated[
        Path | None,
        typer.Option(help="Catalogue that is known from the start.", exists=True, dir_okay=False),
    ] = None,
    ranks: Annotated[
        Path | None, typer.Option(help="Write session, position and rank of each case.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="With --compare: draw the rankings into this SVG file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn a file click by click, then predict every next click of another.

    nextclick evaluate --train train.txt.gz --test test.txt.gz --protocol prequential
    """
    if model not in RANKINGS:
        raise CommandError(f"--model: there is no {model!r}; choose one of {', '.join(RANKINGS)}")
    sessions = load_sessions(train)
    if test:
        tested = [session for file in test for session in load_sessions(file)]
    else:
        if len(sessions) < 2:
            raise CommandError(f"{train}: a single session cannot be split; give --test")
        sessions, tested = split_last(sessions, HELD_OUT)
    catalogue = load_items(items) if items else []
    settings = Settings(protocol is Protocol.PREQUENTIAL, min_prefix, k, seed, catalogue)
    if compare:
        compared = [name for name in RANKINGS if catalogue or name != "content-vectors"]
        results = {name: run(name, sessions, tested, settings)[0] for name in compared}
        title = f"{protocol} evaluation, k = {k}"
        if chart is not None:
            draw_comparison(chart, title, results)
        if json:
            print_json({"protocol": protocol, "models": results})
        else:
            print_comparison(title, results)
        return
    result, cases = run(model, sessions, tested, settings)
    if ranks is not None:
        write_ranks(ranks, cases)
    if json:
        print_json(result)
    else:
        print_result(f"{protocol} evaluation of the {model}, k = {k}", readable(result))


def run(
    model: str, sessions: list[Session], tested: list[Session], settings: Settings
) -> tuple[dict[str, Any], Cases]:
    """Learn and predict with one ranking, showing progress."""
    started = time.perf_counter()
    warm_up()
    engine = make_engine(model, settings.seed)
    put_items(engine, settings.catalogue)
    learn_us = learn(engine, sessions, f"{model} learns")
    cases, more_us = predict(engine, tested, settings, f"{model} predicts", baseline(model, engine))
    seconds = time.perf_counter() - started
    result = summary(cases, settings.k, len(engine.ids) - 1, seconds, learn_us + more_us)
    return {"model": model, **result}, cases


def put_items(engine: Engine, items: Sequence[Item]) -> None:
    """Give the models a catalogue."""
    for item in items:
        engine.put_item(item.item_id, item.available, item.categories, item.attributes, item.title)


def learn(engine: Engine, sessions: Sequence[Session], label: str) -> list[float]:
    """Learn a file under a bar; returns the microseconds of each click."""
    clicks = sum(len(s.items) for s in sessions)
    with progress() as bar:
        task = bar.add_task(label, total=clicks, note="")
        learned = learn_all(engine, sessions, lambda n, _: bar.advance(task, n))
        bar.update(task, completed=clicks)
    return learned


def predict(
    engine: Engine,
    sessions: Sequence[Session],
    settings: Settings,
    label: str,
    ask: Ask | None = None,
) -> tuple[Cases, list[float]]:
    """Score a file under a bar, as `score_all` does."""
    clicks = sum(len(s.items) for s in sessions)
    with progress() as bar:
        task = bar.add_task(label, total=clicks, note="")
        scored = score_all(
            engine,
            sessions,
            learn=settings.learn,
            min_prefix=settings.min_prefix,
            k=settings.k,
            tick=lambda n, note: bar.update(task, advance=n, note=note),
            ask=ask,
        )
        bar.update(task, completed=clicks)
    return scored


def baseline(model: str, engine: Engine) -> Ask | None:
    """Return how a baseline answers that is no reading of the models."""
    if model == "covisit-vectors":
        return VectorRanking(covisit_vectors(engine))
    if model == "content-vectors":
        return VectorRanking(content_vectors(engine))
    if model == "popularity":
        return lambda rows, k, number, times_s: engine.recommend([], k)
    if model == "own-items":

        def own_items(rows: list[int], k: int, number: int, times_s: tuple[int, int]) -> Ranked:
            latest = [row for row in dict.fromkeys(reversed(rows)) if row][:k]
            return Ranked(np.array(latest, np.int32), -np.arange(len(latest), dtype=np.float32))

        return own_items
    return None


def make_engine(model: str, seed: int) -> Engine:
    """Return the models behind a ranking that have learned nothing yet."""
    if model == "ranker":
        return Engine(Limits(), seed)
    return Engine(Limits(), seed, weights=READINGS.get(model, READINGS["blend"]), sample=0)


def warm_up() -> None:
    """Compile the kernels before anything is timed."""
    engine = Engine(Limits(max_items=64, max_sessions=64, pairs=64))
    number = engine.open_session()
    counts = Engine(engine.limits, sample=0)
    counts.open_session()
    for item in ("a", "b", "a"):
        engine.learn(number, item)
        counts.learn(number, item)
    engine.recommend([1, 2], 20)
    counts.recommend([1, 2], 20)


def write_ranks(path: Path, cases: Cases) -> None:
    """Write a line a case: session_id, position of the target (from 1), rank (0: absent)."""
    with path.open("w") as out:
        for case in zip(cases.session_ids, cases.positions, cases.ranks, strict=True):
            out.write("\t".join(map(str, case)) + "\n")


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    rows: dict[str, str] = {}
    for name, value in result.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            rows[label] = ", ".join(f"{key} {figure:.1f}" for key, figure in value.items())
        elif isinstance(value, str):
            rows[label] = value
        elif isinstance(value, list):
            rows[label] = " to ".join(f"{100 * figure:.2f}" for figure in value)
        elif name == "seconds":
            rows[label] = f"{value:.1f}"
        else:
            rows[label] = f"{value:,}" if isinstance(value, int) else f"{100 * float(value):.2f} %"
    return rows


def print_comparison(title: str, results: dict[str, dict[str, Any]]) -> None:
    """Print one line a ranking."""
    table = Table(title=title, title_justify="left")
    columns = (
        *("hit_rate", "hit_rate_95", "mrr", "mrr_95", "hit_rate_new", "hit_rate_new_95"),
        *("ndcg", "ndcg_95", "coverage"),
    )
    table.add_column("ranking")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for model, result in results.items():
        cells = []
        for name in columns:
            value = result[name]
            figures = value if isinstance(value, list) else [value]
            cells.append(" to ".join(f"{100 * float(v):.2f}" for v in figures))
        table.add_row(model, *cells)
    out.print(table)
