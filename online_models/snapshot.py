"""Snapshots: a folder with one `.npy` file a table, cut to what is in use.

Written once and never changed; the caller renames the folder into place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from online_models.memory.layout import (
    BUMP,
    CASES_SEEN,
    FIELDS,
    LEARNED_COUNTERS,
    NEXT_SESSION,
    ROWS,
    Limits,
)
from online_models.ranking.features import SCHEMA

if TYPE_CHECKING:
    from online_models.engine import Engine

VERSION = 5

SCRATCH = {
    "session_words", "rule_words", "near", "after", "old", "fresh", "score", "pool", "pool_score",
    "touched", "touched_place", "sim", "order", "query", "filter_categories", "answer",
    "answer_score", "scale", "root_scale", "marks", "negatives", "hidden", "candidates",
    "own_links", "features", "normal", "layer1", "layer2", "delta1", "delta2", "ranker_score",
    "gradient", "moved", "moment", "shares", "left_out",
    "sort_keys", "sort_places",
}  # fmt: skip
"""Views, constants and scratch of an answer: made anew."""

LEARNED = [name for name in FIELDS if name not in SCRATCH]


class SnapshotError(Exception):
    """A snapshot cannot be read; delete it and let the log rebuild the models."""


def used(engine: Engine) -> dict[str, int]:
    """How many leading entries of each learned table are in use."""
    a = engine.arrays
    rows = int(a["ctr"][ROWS]) + 1
    sessions = min(int(a["ctr"][NEXT_SESSION]), engine.limits.max_sessions)
    lengths = {
        "items": rows,
        "stats": rows,
        "categories": rows,
        "sessions": sessions,
        "moments": sessions,
        "arena": int(a["arena_meta"][BUMP]),
        "rings": int(a["ring_meta"][BUMP]),
        "rules": int(a["rule_meta"][BUMP]),
        "ctr": LEARNED_COUNTERS,
        "vectors_in": rows,
        "vectors_out": rows,
        "squares": rows,
        "item_tokens": rows,
        "token_sums": rows,
        "old_cases": min(int(a["ctr"][CASES_SEEN]), len(a["old_cases"])),
    }
    return {name: lengths.get(name, len(a[name])) for name in LEARNED if name != "pairs"}


def write(engine: Engine, path: Path) -> None:
    """Write the learned tables, the ids and the limits into a new folder."""
    path.mkdir(parents=True)
    for name, n in used(engine).items():
        np.save(path / f"{name}.npy", engine.arrays[name][:n], allow_pickle=False)
    pairs: Any = engine.arrays["pairs"]
    filled = np.flatnonzero(pairs["key"])
    np.save(path / "pair_slots.npy", filled.astype(np.int32), allow_pickle=False)
    np.save(path / "pairs.npy", pairs[filled], allow_pickle=False)
    meta = {
        "version": VERSION,
        "limits": {k: getattr(engine.limits, k) for k in Limits.__dataclass_fields__},
        "seed": engine.seed,
        "sample": engine.sample,
        "remote": engine.remote,
        "with_vectors": engine.with_vectors,
        "schema": SCHEMA,
        "ids": engine.ids,
        "categories": list(engine.category_numbers),
        "provisional": engine.provisional,
    }
    (path / "meta.json").write_text(json.dumps(meta))


def read(cls: type[Engine], path: Path) -> Engine:
    """Return the models that `write` wrote."""
    try:
        meta = json.loads((path / "meta.json").read_text())
        if meta["version"] != VERSION:
            raise SnapshotError(f"{path} has version {meta['version']}, this code reads {VERSION}")
        if meta["schema"] != SCHEMA:
            raise SnapshotError(f"{path} has features {meta['schema']}, this code {SCHEMA}")
        limits = Limits(**meta["limits"])
        engine = cls(limits, meta["seed"], sample=meta["sample"], remote=meta["remote"])
        engine.with_vectors = meta["with_vectors"]
        for name in LEARNED:
            table = np.load(path / f"{name}.npy", allow_pickle=False)
            if name == "pairs":
                engine.arrays["pairs"][np.load(path / "pair_slots.npy")] = table
            else:
                engine.arrays[name][: len(table)] = table
        engine.ids = meta["ids"]
        engine.rows = {item_id: row for row, item_id in enumerate(engine.ids) if row}
        engine.category_numbers = {name: i + 1 for i, name in enumerate(meta["categories"])}
        engine.provisional = meta["provisional"]
    except SnapshotError:
        raise
    except Exception as e:
        raise SnapshotError(f"cannot read the snapshot in {path}: {e}") from e
    return engine
