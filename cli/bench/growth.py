"""``nextclick bench growth``: time and memory against items, sessions, session length and page."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from cli.bench.charts import save_growth
from cli.console import print_json, print_table, progress
from cli.figures import count
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack.layout import SAMPLE
from cli.stack.temporary import results_folder
from evaluation.datasets import load_sessions
from online_models import metrics
from online_models.engine import Engine
from online_models.engine.warm_up import warm_up
from online_models.learners.sample import DEFAULT_SAMPLE
from online_models.memory.layout import Limits
from online_models.sweep import LARGEST_SHARE

ITEMS = (10_000, 100_000, 500_000, 2_000_000)
SESSIONS = (100_000, 500_000, 2_000_000, 5_000_000)
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200)
CANDIDATES = (25, 50, 100, 200, 400, 800)
"""Upper ends of the groups of answers, by how many candidates the sources give."""

PAGES = (20, 50, 100, 200, 500)
LEARNED = 30_000
"""Clicks at the end that vectors and ranker learn too; these are timed."""

ASKED = 3_000
"""Answers that are timed."""

K = 20
MEGABYTE = 1 << 20


def growth(
    items: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Catalogue sizes; 10,000 to 2,000,000.")
    ] = None,
    sessions: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Sessions in memory; 100,000 to 5,000,000.")
    ] = None,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure answers, learning and memory as catalogue, sessions, queries and pages grow.

    Clicks are resampled from the sample: each session is a real one on one of many copies of the
    catalogue. So sizes and times are realistic, but the quality of answers is not. Each size runs
    in a process of its own; the largest catalogue with most sessions comes last.

    nextclick bench growth --items 100000 --sessions 500000
    """
    catalogues, held = sorted(items or ITEMS), sorted(sessions or SESSIONS)
    base = catalogues[min(1, len(catalogues) - 1)], held[min(1, len(held) - 1)]
    points = [(n, base[1]) for n in catalogues] + [(base[0], n) for n in held]
    points = list(dict.fromkeys([*points, (catalogues[-1], held[-1])]))
    measured: dict[tuple[int, int], dict[str, Any]] = {}
    context = multiprocessing.get_context("spawn")
    with progress() as bar:
        task = bar.add_task("growth", total=sum(n for _, n in points), note="")
        for point in points:
            bar.update(task, note=f"{point[0]:,} items, {point[1]:,} sessions")
            # A process for each: memory that a process has touched once counts to its end.
            with ProcessPoolExecutor(1, context) as process:
                measured[point] = process.submit(measure, *point, curves=point == base).result()
            bar.advance(task, point[1])
    result = {
        "items": [measured[n, base[1]] for n in catalogues],
        "sessions": [measured[base[0], n] for n in held],
        "largest": measured[catalogues[-1], held[-1]],
        **measured[base].pop("curves"),
    }
    save_growth(results_folder(home) / "growth", result)
    if json:
        print_json(result)
    else:
        show(result)


def measure(items: int, sessions: int, curves: bool) -> dict[str, Any]:
    """Return the figures of one size; with ``curves`` also those by length, candidates, page."""
    warm_up()
    empty = psutil.Process().memory_info().rss
    engine, learn_us = grown(items, sessions)
    random = np.random.default_rng(2)
    newest = engine.next_session
    numbers = newest - 1 - random.integers(min(sessions, 100_000), size=ASKED)
    queries = [(engine.session_rows(int(n)), int(n)) for n in numbers]
    figures = {
        "items": len(engine.rows),
        "sessions": min(newest, sessions),
        "recommend_us": metrics.spread(timed(engine, queries, K)),
        "learn_us": metrics.spread(learn_us),
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - empty) / MEGABYTE,
    }
    if curves:
        rows = np.concatenate([rows for rows, _ in queries])
        figures["curves"] = {
            "length": [
                {
                    "length": n,
                    "recommend_us": metrics.spread(
                        timed(engine, [(rows[i : i + n], -1) for i in range(ASKED)], K)
                    ),
                }
                for n in LENGTHS
            ],
            "candidates": by_candidates(engine, queries),
            "page": [
                {"page": k, "recommend_us": metrics.spread(timed(engine, queries, k))}
                for k in PAGES
            ],
        }
    return figures


def grown(items: int, sessions: int) -> tuple[Engine, list[float]]:
    """Return models of that size, and the microseconds of the clicks that all models learned."""
    # So many rows that no item leaves: a sweep keeps up to one in four free for others.
    limits = Limits(
        max_items=-(-items * LARGEST_SHARE // (LARGEST_SHARE - 1)),
        max_sessions=1 << (sessions - 1).bit_length(),
    )
    engine = Engine(limits, sample=0)
    sampled = [session.items for session in load_sessions(SAMPLE / "train.txt.gz")]
    numbers = {item: n for n, item in enumerate(dict.fromkeys(i for s in sampled for i in s))}
    one = min(items, len(numbers))
    real = [[numbers[item] % one for item in session] for session in sampled]
    for i in range(items):
        engine.put_item(f"{i % one}~{i // one}")
    copies = items // one
    random = np.random.default_rng(1)
    picks = random.integers(len(real), size=sessions)
    worlds = random.integers(copies, size=sessions)
    # For times only: rows that no click at the end teaches get vectors of random directions.
    a = engine.arrays
    for start in range(1, len(engine.ids), 100_000):
        part = slice(start, min(start + 100_000, len(engine.ids)))
        for name in ("context_vectors", "target_vectors"):
            a[name][part] = 0.1 * random.standard_normal(a[name][part].shape, np.float32)
    learn_us: list[float] = []
    last = sessions - LEARNED // 4
    for s in range(sessions):
        number = engine.open_session()
        engine.sample = 0 if s < last else DEFAULT_SAMPLE
        for item in real[picks[s]]:
            t = time.perf_counter_ns()
            engine.learn(number, f"{item}~{worlds[s]}")
            if s >= last:
                learn_us.append((time.perf_counter_ns() - t) / 1_000)
    return engine, learn_us


def timed(engine: Engine, queries: Sequence[tuple[Any, int]], k: int) -> list[float]:
    """Return the microseconds of each answer."""
    times = []
    for rows, number in queries:
        t = time.perf_counter_ns()
        engine.recommend(rows, k, number)
        times.append((time.perf_counter_ns() - t) / 1_000)
    return times


def by_candidates(engine: Engine, queries: Sequence[tuple[Any, int]]) -> list[dict[str, Any]]:
    """Return the figures of answers by how many candidates the sources give."""
    sizes = np.array([len(engine.candidates(rows, number)[0]) for rows, number in queries])
    times = np.array(timed(engine, queries, K))
    sizes, times = sizes[sizes > 0], times[sizes > 0]
    bins = np.digitize(sizes, CANDIDATES, right=True)
    return [
        {
            "candidates": round(sizes[bins == b].mean()),
            "answers": int((bins == b).sum()),
            "recommend_us": metrics.spread(times[bins == b].tolist()),
        }
        for b in np.unique(bins)
    ]


def show(result: dict[str, Any]) -> None:
    """Print a table of the sizes, and one of lengths, candidates and pages."""
    sizes = [
        *(("items", row) for row in result["items"]),
        *(("sessions", row) for row in result["sessions"]),
        ("both", result["largest"]),
    ]
    print_table(
        "Growth",
        (
            *("what grows", "items", "sessions", "answer\np50, us", "p99, us"),
            *("learning a\nclick, us", "memory,\nMB"),
        ),
        [
            (
                grows,
                count(row["items"]),
                count(row["sessions"]),
                f"{row['recommend_us']['p50']:,.0f}",
                f"{row['recommend_us']['p99']:,.0f}",
                f"{row['learn_us']['mean']:,.0f}",
                f"{row['memory_mb']:,.0f}",
            )
            for grows, row in sizes
        ],
    )
    kinds = {"length": "session length", "candidates": "candidates", "page": "page size"}
    print_table(
        "Answers",
        ("", "p50, us", "p99, us"),
        [
            (
                f"{kind} {row[name]}",
                f"{row['recommend_us']['p50']:,.0f}",
                f"{row['recommend_us']['p99']:,.0f}",
            )
            for name, kind in kinds.items()
            for row in result[name]
        ],
    )
