"""``nextclick bench index --compare``: our index beside others, on the same vectors.

Times are the process's own processor time: others may use the machine.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from cli.bench.index_rivals import INDEXES, Exact, Index
from cli.console import print_line, print_table

K = 20
PUTS, ENOUGH_S = 100, 1.5
"""Vectors that are put one after another, and after how long no further one is."""

LOST_S = 0.5
"""A vector that a graph does not lead to is given up after so long."""

MB = 1_000_000

Matrix = NDArray[np.float32]


def compare(vectors: Matrix, contexts: Matrix, queries: int) -> dict[str, Any]:
    """Return the figures of each index, and which are not installed.

    Parameters
    ----------
    vectors, contexts
        What is indexed, and what is asked for, (n, 64) each.
    queries
        How many.
    """
    rng = np.random.default_rng(0)
    units = unit(vectors)
    asked = unit(contexts[rng.integers(len(contexts), size=queries)])
    room = len(units) + 2 * PUTS + 1
    exact = Exact(room)
    rows = np.arange(1, len(units) + 1)
    exact.build(rows, units)
    true = [exact.query(query, K) for query in asked]
    figures, missing = [], []
    held: list[Index] = []  # else the next one would get the memory of the last one
    for kind in INDEXES:
        gc.collect()
        before = psutil.Process().memory_info().rss
        try:
            index = kind(room)
        except ImportError:
            missing.append(kind.name)
            continue
        held.append(index)
        build_s = seconds_of(lambda: index.build(rows, units))  # noqa: B023 - called at once
        grown = psutil.Process().memory_info().rss - before
        found, times = [], []
        for query, nearest in zip(asked, true, strict=True):
            started = time.process_time_ns()
            answer = index.query(query, K)
            times.append((time.process_time_ns() - started) / 1_000)
            found.append(len(np.intersect1d(answer, nearest)) / K)
        figures.append(
            {
                "index": kind.name,
                "recall_at_20": float(np.mean(found)),
                "p50_us": float(np.percentile(times, 50)),
                "p99_us": float(np.percentile(times, 99)),
                "new_ms": 1_000 * until_found(index, len(units) + 1, units, rng),
                "moved_ms": 1_000 * until_found(index, 1, units, rng),
                "build_s": build_s,
                "memory_mb": grown / MB,
            }
        )
    return {"items": len(units), "indexes": figures, "not_installed": missing}


def until_found(index: Index, first: int, units: Matrix, rng: np.random.Generator) -> float:
    """Return the median seconds until a vector that is put is found by itself.

    Rows from ``first`` on get vectors near others.
    """
    times: list[float] = []
    for n in range(PUTS):
        near = units[rng.integers(len(units))]
        vector = unit(near + 0.5 * unit(rng.standard_normal((1, len(near)), np.float32)))[0]
        started = time.process_time()
        index.put(first + n, vector)
        while first + n not in index.query(vector, K):
            if time.process_time() - started > LOST_S:
                break
        times.append(time.process_time() - started)
        if sum(times) > ENOUGH_S:
            break
    return float(np.median(times))


def seconds_of(work: Callable[[], None]) -> float:
    """Return how long some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def unit(vectors: Matrix) -> Matrix:
    """Return vectors at unit length."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def show(result: dict[str, Any]) -> None:
    """Print one line for each index."""
    print_table(
        f"{result['items']:,} vectors, nearest {K}, one thread",
        ("index", "recall", "us, p50", "new, ms", "moved, ms", "built, s", "MB"),
        [
            (
                row["index"],
                f"{100 * row['recall_at_20']:.1f} %",
                f"{row['p50_us']:,.0f}",
                f"{row['new_ms']:,.2f}",
                f"{row['moved_ms']:,.2f}",
                f"{row['build_s']:.1f}",
                f"{row['memory_mb']:,.0f}",
            )
            for row in result["indexes"]
        ],
    )
    if result["not_installed"]:
        print_line(f"not installed: {', '.join(result['not_installed'])}")
