"""Snapshots: a folder with one `.npy` file per table, cut to the part in use.

A snapshot is written once and never changed; the caller renames the folder into place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.table import Arrays, Kept, Table
from online_models.ranking.features.registry import FITTING_SCHEMAS, SCHEMA
from online_models.state_tables import TABLES, used_entries

VERSION = 8

READABLE = (5, 6, 7, 8)
"""Versions that can be read. Version 5 had other names for some tables."""

SINCE = {
    "has_vectors": 6,
    "first_clicks": 7,
    "deleted_ids": 7,
    "item_links": 8,
    "item_lists": 8,
}
"""The first versions that had a table, where that was not 5."""

NAMES_5 = {
    "counters": "ctr",
    "session_arena": "arena",
    "session_arena_meta": "arena_meta",
    "rings_meta": "ring_meta",
    "rules_meta": "rule_meta",
    "popular": "popular_long",
    "trending": "popular_short",
    "blend_weights": "weights",
    "blend_squares": "weight_squares",
    "context_vectors": "vectors_in",
    "target_vectors": "vectors_out",
    "item_adagrad": "squares",
    "token_adagrad": "token_squares",
    "network": "ranker",
    "feature_mean": "mean",
    "feature_variance": "variance",
    "replay_features": "old_cases",
    "replay_sizes": "old_sizes",
    "replay_targets": "old_targets",
    "prequential": "case_scores",
    "click_times": "moments",
}
"""Names of tables in version 5, by their current names; the others have not changed."""

KEPT = tuple(table for table in TABLES if table.kept is not Kept.SCRATCH and not table.view_of)
"""Tables that a snapshot contains."""


class SnapshotError(Exception):
    """A snapshot cannot be read: an older one or the log rebuilds the models."""


def used(arrays: Arrays, limits: Limits) -> dict[str, int]:
    """Return how many leading entries of each table in `KEPT` are in use."""
    return {table.name: used_entries(table.name, arrays, limits) for table in KEPT}


def write(path: Path, arrays: Arrays, limits: Limits, meta: Mapping[str, Any]) -> None:
    """Write the tables in `KEPT`, the limits and ``meta`` into a new folder."""
    path.mkdir(parents=True)
    lengths = used(arrays, limits)
    for table in KEPT:
        array = arrays[table.name][: lengths[table.name]]
        if table.kept is Kept.HASHED:
            array = array[array["key"] != 0]
        _save(path, table.name, array)
    head = {
        "version": VERSION,
        "limits": {name: getattr(limits, name) for name in Limits.__dataclass_fields__},
        "schema": SCHEMA,
    }
    (path / "meta.json").write_text(json.dumps(head | dict(meta)))


def read_meta(path: Path) -> tuple[Limits, dict[str, Any]]:
    """Return the limits and the ``meta`` of a snapshot.

    Raises
    ------
    SnapshotError
        If this version cannot read it.
    """
    try:
        meta: dict[str, Any] = json.loads((path / "meta.json").read_text())
        version, schema = meta["version"], meta["schema"]
        limits = Limits(**meta["limits"])
    except Exception as e:
        raise SnapshotError(f"cannot read the snapshot in {path}: {e}") from e
    if version in READABLE and version < 7:
        meta |= {"leaving": [], "free": [], "deleted": [], "free_categories": [], "sweep": {}}
    if version not in READABLE:
        raise SnapshotError(f"{path} has version {version}, this code reads {READABLE}")
    if schema not in FITTING_SCHEMAS:
        raise SnapshotError(f"{path} has features {schema}, this code {SCHEMA}")
    return limits, meta


def read_tables(path: Path, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Read the tables of a snapshot into empty ones of the same limits.

    Raises
    ------
    SnapshotError
        If a file is missing or damaged.
    """
    try:
        names = NAMES_5 if meta["version"] == 5 else {}
        for table in KEPT:
            if meta["version"] < SINCE.get(table.name, 5):
                continue
            array = arrays[table.name]
            saved = _load(path, names.get(table.name, table.name))
            if meta["version"] == VERSION:
                _check_layout(table, saved, array)
            if table.kept is Kept.HASHED:
                table.put_hashed(array, saved)
            else:
                _put(array, saved)
        if meta["version"] == 5:
            # Version 5 marked published vectors in the sums of squares.
            marks = arrays["item_adagrad"]["squares"]
            arrays["has_vectors"][:] = marks[:, 0] > 0 if meta["remote"] else False
            if meta["remote"]:
                marks[:] = 0
    except Exception as e:
        raise SnapshotError(f"cannot read the snapshot in {path}: {e}") from e


def _check_layout(table: Table, saved: NDArray[Any], array: NDArray[Any]) -> None:
    """Refuse what was saved by code that declared the table otherwise."""
    whole = table.kept is Kept.WHOLE and len(saved) != len(array)
    if whole or saved.dtype != array.dtype or saved.shape[1:] != array.shape[1:]:
        raise ValueError(
            f"{table.name} is {saved.dtype} {saved.shape} there, {array.dtype} {array.shape} here"
        )


def _put(array: NDArray[Any], saved: NDArray[Any]) -> None:
    """Copy saved entries into a table whose entries have the same size in bytes."""
    if saved.dtype != array.dtype:
        saved = np.ascontiguousarray(saved).view(array.dtype).reshape(-1)
    array[: len(saved)] = saved


def _save(path: Path, name: str, array: NDArray[Any]) -> None:
    np.save(path / f"{name}.npy", array, allow_pickle=False)


def _load(path: Path, name: str) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path / f"{name}.npy", allow_pickle=False)
    return loaded
