"""Snapshots: a folder with one `.npy` file per table, cut to the part in use.

A snapshot is written once and never changed; the caller renames the folder into place. It is
written in parts, since answers wait while a call holds the GIL: all ids at once took 70 ms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.table import Arrays, Kept, Table
from online_models.ranking.features.registry import FITTING_SCHEMAS, N_COMMON, SCHEMA
from online_models.ranking.network import N_BASE
from online_models.state_tables import TABLES, used_entries

VERSION = 9

READABLE = (5, 6, 7, 8, 9)
"""Versions that can be read. Version 5 had other names for some tables."""

SINCE = {
    "has_vectors": 6,
    "first_clicks": 7,
    "deleted_ids": 7,
    "item_links": 8,
    "item_lists": 8,
    "rates": 9,
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

WITH_SCRATCH = ("items", "sessions")
"""Tables with fields that answers write to."""

OPTIONAL_PARTS: dict[str, Any] = {
    "network": (slice(None), slice(N_BASE)),
    "feature_mean": slice(N_COMMON),
    "feature_variance": slice(N_COMMON),
    "replay_features": (slice(None), slice(N_COMMON)),
}
"""Tables that are larger for optional features, and the part that is there without them."""

PART_BYTES, PART_VALUES = 1 << 20, 500
"""Bytes of a table that are copied at once, and values of a list that are encoded: 0.1 ms."""

Undisturbed = Callable[[], AbstractContextManager[object]]
"""Returns what to hold while a part of the tables `WITH_SCRATCH` is copied."""


class SnapshotError(Exception):
    """A snapshot cannot be read: an older one or the log rebuilds the models."""


def used(arrays: Arrays, limits: Limits) -> dict[str, int]:
    """Return how many leading entries of each table in `KEPT` are in use."""
    return {table.name: used_entries(table.name, arrays, limits) for table in KEPT}


def write(
    path: Path,
    arrays: Arrays,
    limits: Limits,
    meta: Mapping[str, Any],
    undisturbed: Undisturbed = nullcontext,
) -> None:
    """Write the tables in `KEPT`, the limits and ``meta`` into a new folder."""
    path.mkdir(parents=True)
    lengths = used(arrays, limits)
    for table in KEPT:
        _save(path, table, arrays[table.name][: lengths[table.name]], undisturbed)
    head = {
        "version": VERSION,
        "limits": {name: getattr(limits, name) for name in Limits.__dataclass_fields__},
        "schema": SCHEMA,
    }
    with (path / "meta.json").open("w") as file:
        file.writelines(_encoded(head | dict(meta)))


def _encoded(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `json.dumps` returns, in parts; fields may be iterables of plain values."""
    separator = "{"
    for name, value in fields.items():
        yield f"{separator}{json.dumps(name)}: "
        separator = ", "
        if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
            yield from _encoded_list(value)
        else:
            yield json.dumps(value)
    yield "}"


def _encoded_list(values: Iterable[Any]) -> Iterator[str]:
    rest = iter(values)
    separator = "["
    while part := list(islice(rest, PART_VALUES)):
        yield f"{separator}{json.dumps(part)[1:-1]}"
        separator = ", "
    yield "]" if separator == ", " else "[]"


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
            if meta["schema"] != SCHEMA and table.name in OPTIONAL_PARTS:
                part = OPTIONAL_PARTS[table.name]
                array, saved = array[part], saved[part]
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


def _save(path: Path, table: Table, array: NDArray[Any], undisturbed: Undisturbed) -> None:
    """Write the file that `np.save` would write of the entries to keep."""
    n = len(array)
    if table.kept is Kept.HASHED:
        n = sum(int(np.count_nonzero(part["key"])) for part in _parts(array))
    with (path / f"{table.name}.npy").open("wb") as file:
        header = npy.header_data_from_array_1_0(array)  # type: ignore[no-untyped-call]
        header["shape"] = (n, *array.shape[1:])
        npy.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for part in _parts(array):
            if table.kept is Kept.HASHED:
                file.write(part[part["key"] != 0].data)
            elif table.name in WITH_SCRATCH:
                with undisturbed():
                    still = part.copy()
                file.write(still.data)
            else:
                file.write(part.data)


def _parts(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    entries = max(PART_BYTES // array.strides[0], 1)
    return (array[first : first + entries] for first in range(0, len(array), entries))


def _load(path: Path, name: str) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path / f"{name}.npy", allow_pickle=False)
    return loaded
