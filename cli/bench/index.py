"""``nextclick bench index``: recall and query time of the vector index while it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cli.bench import index_compare
from cli.console import err, print_json, print_result
from cli.errors import CommandError
from cli.figures import count, microseconds, percent, seconds
from cli.options import Json
from cli.stack.layout import SAMPLE
from evaluation.datasets import load_sessions
from online_models.learners.vectors import VectorLearner
from online_models.vectors.index import VectorIndex

K = 50
REMOVED, ADDED = 0.02, 0.02
"""Shares of the changes."""

MOVED_BY = 0.2
"""A change moves a vector by this share of its length; most real changes move it less."""

PACE_S = 0.004
"""Between two queries; there is one client."""


def index(
    items: Annotated[int, typer.Option(min=100, help="Vectors in the index.")] = 50_000,
    changes: Annotated[int, typer.Option(min=1, help="Changes while it is queried.")] = 10_000,
    rate: Annotated[float, typer.Option(min=1, help="Changes a second.")] = 400,
    queries: Annotated[int, typer.Option(min=100, help="Queries at rest and in churn.")] = 5_000,
    data: Annotated[
        Path | None,
        typer.Option(help="Clicks to learn vectors from.", exists=True, dir_okay=False),
    ] = None,
    compare: Annotated[
        bool, typer.Option(help="Compare with other indexes instead, on the same vectors.")
    ] = False,
    json: Json = False,
) -> None:
    """Learn vectors from clicks, index them, and query the index while they change.

    Recall is measured against exact search, after all changes. Where the clicks have fewer items
    than --items, vectors are resampled with a little noise.

    With --compare: how much of the true 20 nearest our index, exact search, locality-sensitive
    hashing, and FAISS and USearch where they are installed find, microseconds of a query, how long
    until a new vector and one that has moved are found, and memory.

    nextclick bench index --items 50000 --json
    """
    rng = np.random.default_rng(0)
    with err.status("learning vectors"):
        contexts, targets = learned(data or SAMPLE / "train.txt.gz", items, rng)
    if compare:
        with err.status("comparing indexes"):
            beside = index_compare.compare(targets, contexts, queries)
        if json:
            print_json(beside)
        else:
            index_compare.show(beside)
        return
    vectors = np.zeros((2 * items + 1, targets.shape[1]), np.float32)
    vectors[1 : items + 1] = targets
    nearest = VectorIndex(len(vectors))
    for row in range(1, items + 1):
        nearest.put(row, vectors[row])
    with err.status("building the index"):
        started = time.monotonic()
        nearest.rebuild()
        build_s = time.monotonic() - started
    rest = ask(nearest, contexts, queries, rng, threading.Lock(), lambda: False)
    with err.status("querying while it changes"):
        churn, done_s, rebuilds = change(
            nearest, vectors, items, changes, rate, contexts, queries, rng
        )
    sample = contexts[rng.integers(len(contexts), size=200)]
    result = {
        "items": items,
        "changes": changes,
        "recall_at_50": nearest.recall(sample, K),
        "p50_rest_us": float(np.percentile(rest, 50)),
        "p99_rest_us": float(np.percentile(rest, 99)),
        "p50_churn_us": float(np.percentile(churn, 50)),
        "p99_churn_us": float(np.percentile(churn, 99)),
        "changes_per_s": changes / done_s,
        "rebuilds": rebuilds,
        "build_s": build_s,
    }
    if json:
        print_json(result)
    else:
        print_result("The vector index", readable(result))


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    return {
        "vectors": count(result["items"]),
        "  first built in": seconds(result["build_s"]),
        "query at rest, p50, p99": microseconds(result["p50_rest_us"], result["p99_rest_us"]),
        "query while it changes, p50, p99": microseconds(
            result["p50_churn_us"], result["p99_churn_us"]
        ),
        "changes": count(result["changes"]),
        "  a second": f"{result['changes_per_s']:,.0f}",
        "  index built again, times": count(result["rebuilds"]),
        f"recall@{K} after them": percent(result["recall_at_50"]),
    }


def learned(
    file: Path, items: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return context and target vectors, (items, 64) each, learned from a file's clicks."""
    learner = VectorLearner()
    for session in load_sessions(file):
        slot = -1
        for at, item in enumerate(session.items):
            slot = learner.learn(slot, session.items[max(0, at - 20) : at], item)
    n = len(learner.rows)
    if n == 0:
        raise CommandError(f"{file} has no clicks")
    rows = 1 + np.arange(items) % n
    contexts, targets = (
        learner.arrays["context_vectors"][rows],
        learner.arrays["target_vectors"][rows],
    )
    if items > n:
        size = np.linalg.norm(targets[n:], axis=1, keepdims=True) / np.sqrt(targets.shape[1])
        targets[n:] += 0.3 * size * rng.normal(size=targets[n:].shape)
    return contexts.astype(np.float32), targets.astype(np.float32)


def ask(
    nearest: VectorIndex,
    contexts: NDArray[np.float32],
    queries: int,
    rng: np.random.Generator,
    lock: threading.Lock,
    more: Callable[[], bool],
) -> list[float]:
    """Return the microseconds of at least ``queries`` queries, and on while ``more`` says so."""
    times: list[float] = []
    while len(times) < queries or more():
        query = contexts[rng.integers(len(contexts))]
        started = time.perf_counter_ns()
        with lock:
            nearest.query(query, K)
        times.append((time.perf_counter_ns() - started) / 1000)
        time.sleep(PACE_S)
    return times


def change(
    nearest: VectorIndex,
    vectors: NDArray[np.float32],
    items: int,
    changes: int,
    rate: float,
    contexts: NDArray[np.float32],
    queries: int,
    rng: np.random.Generator,
) -> tuple[list[float], float, int]:
    """Change vectors at a rate while queries run; returns their times, seconds, rebuilds."""
    lock, done, lasted_s, rebuilds = threading.Lock(), threading.Event(), [0.0], [0]

    def churn() -> None:
        mine, free = np.random.default_rng(1), items + 1
        started = time.monotonic()
        for i in range(changes):
            time.sleep(max(0.0, started + i / rate - time.monotonic()))
            row, kind = int(mine.integers(1, items + 1)), mine.random()
            with lock:
                if kind < REMOVED:
                    nearest.remove(row)
                    continue
                old = vectors[row]
                step = mine.normal(size=len(old)).astype(np.float32)
                step *= MOVED_BY * float(np.linalg.norm(old)) / float(np.linalg.norm(step))
                if kind < REMOVED + ADDED and free < len(vectors):
                    row, free = free, free + 1
                vectors[row] = old + step
                nearest.put(row, vectors[row])
        lasted_s[0] = time.monotonic() - started
        done.set()

    def rebuild() -> None:
        while not done.wait(0.05):
            if nearest.due:
                main = nearest.build()
                with lock:
                    before = nearest.swap(main)
                del before  # not while others wait for the lock
                rebuilds[0] += 1

    threads = [threading.Thread(target=churn), threading.Thread(target=rebuild)]
    for thread in threads:
        thread.start()
    times = ask(nearest, contexts, queries, rng, lock, lambda: not done.is_set())
    for thread in threads:
        thread.join()
    return times, lasted_s[0], rebuilds[0]
