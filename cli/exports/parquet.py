"""A Parquet file of cases: a row for each candidate, with its features and whether it was clicked.

Rows are written in groups as they come, so that memory does not grow with the file. It has its name
only once it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from evaluation.point_in_time import Case
from online_models.ranking.features.registry import FEATURES, NAMES, SCHEMA

GROUP_ROWS = 32_768
"""Rows of a group at least; with 64 features, 8 MB in memory."""

KEYS: tuple[tuple[str, Any], ...] = (
    ("session_id", pa.string()),
    ("step", pa.uint64()),
    ("time", pa.timestamp("ms", "UTC")),
    ("item_id", pa.string()),
    ("blend_place", pa.uint8()),
    ("label", pa.bool_()),
)
"""Columns before the features: the click, the candidate, its place in the blend's order from 1, and
whether it was clicked."""


def schema() -> pa.Schema:
    """Return the columns; those of features say what they mean."""
    features = [
        pa.field(
            f.name,
            pa.float32(),
            nullable=False,
            metadata={"meaning": f.meaning, "unit": f.unit, "version": str(f.version)},
        )
        for f in FEATURES
    ]
    keys = [pa.field(name, kind, nullable=name in ("time", "item_id")) for name, kind in KEYS]
    versions = json.dumps({f.name: f.version for f in FEATURES})
    return pa.schema(
        keys + features,
        metadata={"nextclick.feature_schema": SCHEMA, "nextclick.feature_versions": versions},
    )


class Written:
    """What has become of the cases."""

    def __init__(self) -> None:
        self.cases = self.rows = self.without_target = 0
        """Cases in the file, their rows, and further cases whose item was no candidate."""

    def as_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return {"cases": self.cases, "rows": self.rows, "without_target": self.without_target}


def write(file: Path, cases: Iterable[Case], group_rows: int = GROUP_ROWS) -> Written:
    """Write cases to a file; those whose clicked item was no candidate are only counted.

    Parameters
    ----------
    file
        Where; it is replaced at the end.
    cases
        The cases; only those of one group are in memory.
    group_rows
        Rows after which a group is written.
    """
    columns, written = schema(), Written()
    partial = file.with_name(f".{file.name}.partial")
    waiting: list[Case] = []
    rows = 0
    try:
        with parquet.ParquetWriter(partial, columns, compression="zstd") as writer:
            for case in cases:
                if case.target < 0:
                    written.without_target += 1
                    continue
                waiting.append(case)
                rows += case.features.shape[1]
                written.cases += 1
                if rows >= group_rows:
                    written.rows += _write_group(writer, columns, waiting)
                    waiting, rows = [], 0
            if waiting:
                written.rows += _write_group(writer, columns, waiting)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return written


def _write_group(writer: parquet.ParquetWriter, columns: pa.Schema, cases: list[Case]) -> int:
    sizes = [case.features.shape[1] for case in cases]
    n = int(sum(sizes))
    features = np.concatenate([case.features for case in cases], axis=1, dtype=np.float32)
    label, place = np.zeros(n, np.bool_), np.concatenate([np.arange(1, s + 1) for s in sizes])
    label[np.cumsum([0, *sizes[:-1]]) + [case.target for case in cases]] = True
    ids = [id_ for c, s in zip(cases, sizes, strict=True) for id_ in c.item_ids or (None,) * s]
    times = np.repeat(np.array([-1 if c.time_ms is None else c.time_ms for c in cases]), sizes)
    keys = (
        np.repeat(np.array([case.session_id for case in cases], object), sizes),
        np.repeat(np.array([case.step for case in cases], np.uint64), sizes),
        pa.array(times, pa.int64(), mask=times < 0),
        ids,
        place,
        label,
    )
    arrays = [
        key.cast(kind) if isinstance(key, pa.Array) else pa.array(key, kind)
        for key, (_, kind) in zip(keys, KEYS, strict=True)
    ]
    arrays += [pa.array(row) for row in features]
    assert len(arrays) == len(KEYS) + len(NAMES)
    writer.write_table(pa.Table.from_arrays(arrays, schema=columns))
    return n
