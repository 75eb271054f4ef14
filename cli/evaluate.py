"""``nextclick evaluate``: how good the recommendations are on a file of clicks."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, print_result, progress
from cli.datasets import load_sessions, split_last
from cli.errors import CommandError
from cli.evaluation import Cases, learn_all, score_all, summary
from online_models.engine import Engine
from online_models.layout import MAX_ANSWER, Limits

HELD_OUT = 0.1


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
    min_prefix: Annotated[int, typer.Option(min=1, help="Clicks before the first case.")] = 1,
    k: Annotated[int, typer.Option("-k", min=1, max=MAX_ANSWER, help="Length of the lists.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of whatever is random.")] = 0,
    ranks: Annotated[
        Path | None, typer.Option(help="Write session, position and rank of each case.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn a file click by click, then predict every next click of another.

    nextclick evaluate --train train.txt.gz --test test.txt.gz --protocol prequential
    """
    started = time.perf_counter()
    sessions = load_sessions(train)
    if not test:
        if len(sessions) < 2:
            raise CommandError(f"{train}: a single session cannot be split; give --test")
        sessions, cases_from = split_last(sessions, HELD_OUT)
    else:
        cases_from = [session for file in test for session in load_sessions(file)]
    engine = Engine(Limits(), seed)
    warm_up()
    with progress() as bar:
        clicks = sum(len(s.items) for s in sessions)
        task = bar.add_task("learning", total=clicks, note="")
        learn_us = learn_all(engine, sessions, lambda n, _: bar.advance(task, n))
        bar.update(task, completed=clicks)
        clicks = sum(len(s.items) for s in cases_from)
        task = bar.add_task("predicting", total=clicks, note="")
        cases, more_us = score_all(
            engine,
            cases_from,
            learn=protocol is Protocol.PREQUENTIAL,
            min_prefix=min_prefix,
            k=k,
            tick=lambda n, note: bar.update(task, advance=n, note=note),
        )
        bar.update(task, completed=clicks)
    seconds = time.perf_counter() - started
    items = len(engine.ids) - 1
    result = summary(cases, k, items, seconds, learn_us + more_us)
    if ranks is not None:
        write_ranks(ranks, cases)
    if json:
        print_json(result)
    else:
        print_result(f"{protocol} evaluation, k = {k}", readable(result))


def warm_up() -> None:
    """Compile the kernels before anything is timed."""
    engine = Engine(Limits(max_items=64, max_sessions=64, pairs=64))
    number = engine.open_session()
    for item in ("a", "b", "a"):
        engine.learn(number, item)
    engine.recommend([1, 2], 20)


def write_ranks(path: Path, cases: Cases) -> None:
    """Write a line a case: session_id, position of the target (from 1), rank (0: absent)."""
    with path.open("w") as out:
        for case in zip(cases.session_ids, cases.positions, cases.ranks, strict=True):
            out.write("\t".join(map(str, case)) + "\n")


def readable(result: dict[str, object]) -> dict[str, str]:
    """Return the figures as people read them."""
    rows: dict[str, str] = {}
    for name, value in result.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            rows[label] = ", ".join(f"{key} {figure:.1f}" for key, figure in value.items())
        elif name == "seconds":
            rows[label] = f"{value:.1f}"
        else:
            rows[label] = f"{value:,}" if isinstance(value, int) else f"{100 * float(value):.2f} %"  # type: ignore[arg-type]
    return rows
