"""``nextclick bench frontier``: what each source and feature is worth, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cli.bench.charts import save_frontier
from cli.bench.importance import measure
from cli.console import print_json, print_table, progress
from cli.figures import count
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.layout import SAMPLE
from cli.stack.temporary import results_folder
from evaluation.datasets import Session, load_sessions, split_last
from evaluation.prequential import learn_all, second
from evaluation.rankings import make_engine
from nextclick.limits import SESSION_STEPS
from online_models.engine import Engine
from online_models.engine.warm_up import warm_up
from online_models.ranking.features.blend_terms import SCORES
from online_models.ranking.features.registry import FEATURES
from online_models.sources.registry import COLUMNS, SOURCES

K = 20
TIMED, ROUNDS = 400, 5


@dataclass(frozen=True)
class Part:
    """What is left out: columns of the pool, or features of the rankings."""

    columns: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Whether it is a source or a feature."""
        return "source" if self.columns else "feature"


def parts() -> dict[str, Part]:
    """Return all parts by name: sources, single columns of theirs, then features."""
    found = {
        source.name: Part(columns=tuple(column.name for column in source.columns))
        for source in SOURCES
        if source.columns
    }
    found |= {column.part: Part(columns=(column.name,)) for column in COLUMNS if column.part}
    for feature in FEATURES:
        if feature.part != SCORES:
            so_far = found.get(feature.part, Part())
            found[feature.part] = Part(so_far.columns, (*so_far.features, feature.name))
    return found


PARTS = parts()


@dataclass(frozen=True)
class Run:
    """The ranks of all cases, and the models that gave them."""

    ranks: NDArray[np.int64]
    engine: Engine


def frontier(
    train: Annotated[
        list[Path] | None,
        typer.Option(
            help="Clicks to learn from; without --valid the last 5 % of the sessions are tested. "
            "Several files: the mean over them. Default: the sample.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    valid: Annotated[
        list[Path] | None,
        typer.Option(help="Clicks to predict, one file for each --train.", exists=True),
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Only parts whose names start like this.")
    ] = None,
    importance: Annotated[
        bool,
        typer.Option(
            "--importance",
            help="Instead, learn once and permute each source, family and feature.",
        ),
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="With --importance: permutations of each.")
    ] = 3,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Leave out each source and each family of features in turn, and compare with all of them.

    Points are how much higher HR@20 and MRR@20 are with the part than without it, with the 95 %
    interval of the paired differences; microseconds are how much longer an answer takes, in
    alternating slices. Give validation files, never test files: parts that do not earn their
    microseconds are removed.

    With --importance, points are what is lost where the ranker reads a feature of another candidate
    or case: at most 5,000 cases of one split, with bootstrap intervals of 95 %.

    nextclick bench frontier --train train.txt.gz --valid valid.txt.gz
    """
    splits = load(train or [SAMPLE / "train.txt.gz"], valid or [])
    warm_up()
    if importance:
        if len(splits) > 1:
            raise typer.BadParameter("--importance takes one split")
        base = results_folder(home) / "importance"
        measure(*splits[0], base, parts=part or (), repeats=repeats, json=json)
        return
    wanted = [name for name in PARTS if not part or name.startswith(tuple(part))]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    with progress() as bar:
        task = bar.add_task("frontier", total=len(splits) * (len(wanted) + 1), note="")
        for learned, asked in splits:
            every = run(learned, asked, Part())
            bar.update(task, advance=1, note="all")
            for name in wanted:
                without = run(learned, asked, PARTS[name])
                rows[name].append(compared(every, without, asked))
                bar.update(task, advance=1, note=name)
    result = {
        "cases": sum(sum(len(s.items) - 1 for s in asked) for _, asked in splits),
        "parts": [{"part": name, "kind": PARTS[name].kind, **mean(rows[name])} for name in wanted],
    }
    save_frontier(results_folder(home) / "frontier", result)
    if json:
        print_json(result)
    else:
        show(result)


def load(train: Sequence[Path], valid: Sequence[Path]) -> list[tuple[list[Session], list[Session]]]:
    """Return (sessions to learn, sessions to predict) of each split."""
    if valid:
        if len(valid) != len(train):
            raise typer.BadParameter("give one --valid for each --train")
        pairs = zip(train, valid, strict=True)
        return [(load_sessions(a), load_sessions(b)) for a, b in pairs]
    return [split_last(load_sessions(file), 0.05) for file in train]


def run(learned: Sequence[Session], asked: Sequence[Session], part: Part) -> Run:
    """Learn and predict without a part; what is predicted is not learned."""
    engine = make_engine("ranker", 0)
    engine.leave_out(part.columns, part.features)
    learn_all(engine, learned)
    ranks = []
    for query, times_s, target in cases(engine, asked):
        listed = engine.recommend(query, K, times_s=times_s).rows.tolist()
        row = engine.row(target)
        ranks.append(listed.index(row) + 1 if row and row in listed else 0)
    return Run(np.array(ranks), engine)


def cases(
    engine: Engine, sessions: Sequence[Session]
) -> Iterator[tuple[list[int], tuple[int, int], str]]:
    """Yield (rows before, times of the last two clicks, next item) of every click but the first."""
    for session in sessions:
        for p in range(1, len(session.items)):
            rows = [engine.row(item) for item in session.items[max(0, p - SESSION_STEPS) : p]]
            times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1))
            yield rows, times_s, session.items[p]


def compared(every: Run, without: Run, asked: Sequence[Session]) -> dict[str, Any]:
    """Return what a part adds: points, their intervals, microseconds."""
    figures: dict[str, Any] = {}
    gains: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("hit_rate", lambda ranks: (ranks > 0).astype(float)),
        ("mrr", lambda ranks: np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0)),
    )
    for name, gain in gains:
        more = 100 * (gain(every.ranks) - gain(without.ranks))
        spread = 1.96 * more.std() / np.sqrt(len(more))
        figures |= {name: float(more.mean()), f"{name}_95": float(spread)}
    return figures | {"us": microseconds(every.engine, without.engine, asked)}


def microseconds(every: Engine, without: Engine, asked: Sequence[Session]) -> float:
    """Return how much longer an answer with all parts takes, the median of alternating slices."""
    queries = {id(e): list(islice(cases(e, asked), TIMED)) for e in (every, without)}
    slices: dict[int, list[float]] = {id(every): [], id(without): []}
    for _ in range(ROUNDS):
        for engine in (every, without):
            times = []
            for query, times_s, _ in queries[id(engine)]:
                t = time.perf_counter_ns()
                engine.recommend(query, K, times_s=times_s)
                times.append(time.perf_counter_ns() - t)
            slices[id(engine)].append(float(np.median(times)) / 1_000)
    differences = np.subtract(slices[id(every)], slices[id(without)])
    return float(np.median(differences))


def mean(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each figure; intervals of independent splits shrink with their number."""
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    for name in ("hit_rate_95", "mrr_95"):
        squares = [row[name] ** 2 for row in rows]
        figures[name] = float(np.sqrt(np.sum(squares)) / len(rows))
    return figures


def show(result: dict[str, Any]) -> None:
    """Print one line per part."""
    print_table(
        f"What each part is worth ({count(result['cases'])} cases, intervals of 95 %)",
        ("left out", "HR@20, points", "MRR@20, points", "microseconds"),
        [
            (
                row["part"],
                f"{row['hit_rate']:+.2f} ± {row['hit_rate_95']:.2f}",
                f"{row['mrr']:+.2f} ± {row['mrr_95']:.2f}",
                f"{row['us']:.1f}",
            )
            for row in result["parts"]
        ],
    )
