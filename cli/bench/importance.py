"""The importance of features by permuting them: ``nextclick bench frontier --importance``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.bench.charts import save_json
from cli.console import bars, print_json, print_table
from cli.errors import CommandError
from cli.figures import count
from evaluation.datasets import Session
from evaluation.importance import Importance, groups, importance, samples_of
from evaluation.prequential import learn_all
from evaluation.rankings import make_engine

KINDS = {"source": "sources", "family": "families of features", "feature": "features"}


def measure(
    learned: Sequence[Session],
    asked: Sequence[Session],
    base: Path,
    *,
    parts: Sequence[str],
    repeats: int,
    json: bool,
) -> None:
    """Learn once, permute each group of features in turn, and print what is lost.

    Parameters
    ----------
    learned, asked
        Sessions to learn from, and to predict.
    base
        File of the figures, without its suffix.
    parts
        Only what begins with one of these names; empty: all.
    repeats
        Permutations of each.
    json
        Whether to print one object instead of tables.
    """
    wanted = [g for g in groups() if not parts or g.name.startswith(tuple(parts))]
    if not wanted:
        raise CommandError(f"no source, family or feature begins with {' or '.join(parts)}")
    with bars() as progress:
        engine = make_engine("ranker", 0)
        learn_all(engine, learned, progress)
        samples = samples_of(engine, asked, seed=0)
        if not engine.examples:
            raise CommandError("the ranker has learned no case; give more clicks to learn from")
        found = importance(engine, samples, wanted, repeats=repeats, progress=progress)
    result = {
        "cases": len(samples),
        "permutations": repeats,
        "importance": [as_json(one) for one in found],
    }
    save_json(base, result)
    if json:
        print_json(result)
    else:
        show(result)


def as_json(one: Importance) -> dict[str, Any]:
    """Return the figures of a group."""
    return {
        "name": one.group.name,
        "kind": one.group.kind,
        "hit_rate": one.hit_rate,
        "hit_rate_95": list(one.hit_rate_95),
        "mrr": one.mrr,
        "mrr_95": list(one.mrr_95),
    }


def show(result: dict[str, Any]) -> None:
    """Print a table of each kind, the most important first."""
    for kind, title in KINDS.items():
        rows = [row for row in result["importance"] if row["kind"] == kind]
        if rows:
            print_table(
                f"Importance of {title} ({count(result['cases'])} cases; points lost where it is "
                "permuted, 95 %)",
                ("permuted", "HR@20", "MRR@20"),
                [
                    (row["name"], points(row, "hit_rate"), points(row, "mrr"))
                    for row in sorted(rows, key=lambda row: -row["mrr"])
                ],
            )


def points(row: dict[str, Any], name: str) -> str:
    """Return a loss with its interval."""
    low, high = row[f"{name}_95"]
    return f"{row[name]:+.2f} ({low:+.2f} to {high:+.2f})"
