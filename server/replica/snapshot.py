"""Snapshots of a replica: models, sessions, catalogue and positions in the log, all or nothing.

The order of the steps matters when writing: all files into a temporary folder; their checksums;
fsync; the rename into place; then older snapshots are removed. Readers use the newest complete
snapshot. One of other limits or of another version stays until it is removed by hand: it may be the
only copy of counts that are older than the log.

The thread that changes the models writes them, so they do not change meanwhile; answers continue.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from nextclick.codec import decode_item, encode_item
from online_models.engine import Engine, SnapshotError
from online_models.engine.snapshot import read_meta, used
from online_models.memory.layout import Limits
from server.replica.replica import Replica, Role

log = logging.getLogger("nextclick.snapshot")

VERSION = 3
KEPT = 2
SESSIONS_A_LINE = 500
"""Keeps calls of the serialiser short: requests wait while it runs."""

TABLES_WITH_SCRATCH = ("items", "sessions")
"""Tables with fields that answers write to."""

CHUNK_BYTES = 1 << 20
"""Bytes copied at once, while requests wait: about 0.1 ms."""


def write(replica: Replica, folder: Path) -> Path:
    """Write a snapshot of a replica; return its folder.

    The replica may answer meanwhile, but not learn: call this from the thread that applies the log,
    or after it has ended. No other process may use ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    number = max((_number(path) for path in folder.glob("snapshot-*")), default=0) + 1
    temporary = folder / f"tmp-{os.getpid()}"
    temporary.mkdir()
    try:
        _write_files(replica, temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    target = folder / f"snapshot-{number:06d}"
    temporary.rename(target)
    _sync(folder)
    limits = replica.engine.limits
    fitting = [path for path in sorted(folder.glob("snapshot-*")) if not _fault(path, limits)]
    for old in fitting[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    log.info(
        "wrote %s: %d clicks, %d sessions", target, replica.engine.clicks, len(replica.sessions)
    )
    return target


def _write_files(replica: Replica, temporary: Path) -> None:
    """Write all files of a snapshot, and sync them."""
    _without_scratch(replica).snapshot(temporary / "models")
    state = {
        "version": VERSION,
        "evicted": replica.sessions.evicted,
        "positions": [[name, p, offset] for (name, p), offset in replica.positions.items()],
        "whole_log": replica.whole_log,
    }
    (temporary / "replica.json").write_bytes(orjson.dumps(state))
    _write_lines(temporary / "sessions.jsonl", map(orjson.dumps, _batches(replica)))
    _write_lines(temporary / "catalogue.jsonl", map(encode_item, replica.catalogue.values()))
    sums = {name: _checksum(temporary / name) for name in _files(temporary)}
    (temporary / "checksums.json").write_bytes(orjson.dumps(sums))
    for path in [*temporary.rglob("*"), temporary]:
        _sync(path)


def unfit(folder: Path, limits: Limits) -> dict[str, str]:
    """Return the snapshots that these limits and this version cannot use, with the reason."""
    faults = {path.name: _fault(path, limits) for path in sorted(folder.glob("snapshot-*"))}
    return {name: fault for name, fault in faults.items() if fault}


def _fault(path: Path, limits: Limits) -> str:
    """Return what keeps a whole snapshot from being used; empty if nothing does."""
    try:
        version = orjson.loads((path / "replica.json").read_bytes())["version"]
        models = json.loads((path / "models" / "meta.json").read_bytes())
    except (OSError, ValueError, KeyError):
        return ""  # damaged, not of another kind
    if version != VERSION:
        return f"version {version}, this code reads {VERSION}"
    held = models.get("limits")
    wanted = asdict(limits)
    if held != wanted:
        other = (
            [
                f"{name} {held.get(name)}, not {wanted[name]}"
                for name in wanted
                if held.get(name) != wanted[name]
            ]
            if isinstance(held, dict)
            else ["none"]
        )
        return f"its limits differ from the settings: {', '.join(other)}"
    try:
        read_meta(path / "models")
    except SnapshotError as e:
        return str(e)
    return ""


def read(folder: Path, limits: Limits, role: Role = Role.SERVER) -> Replica | None:
    """Return the replica of the newest snapshot that can be used, None if there is none."""
    for path in sorted(folder.glob("snapshot-*"), reverse=True):
        try:
            replica = _read(path, limits, role)
        except Exception as e:  # whatever is wrong with it, the log can rebuild everything
            log.warning(
                "cannot use %s: %s; trying an older snapshot, or else reading the log", path, e
            )
            continue
        log.info("read %s: %d clicks", path, replica.engine.clicks)
        return replica
    return None


def _read(path: Path, limits: Limits, role: Role) -> Replica:
    if fault := _fault(path, limits):
        raise SnapshotError(f"{fault}; it is kept")
    state = orjson.loads((path / "replica.json").read_bytes())
    # A damaged table might not fail here, but crash a kernel after every start.
    sums = orjson.loads((path / "checksums.json").read_bytes())
    for name, checksum in sums.items():
        if _checksum(path / name) != checksum:
            raise SnapshotError(f"{name} is damaged")
    engine = Engine.restore(path / "models")
    if engine.limits != limits or not engine.remote:
        raise SnapshotError("its models are not those of a replica")
    replica = Replica(engine, role)
    for line in _lines(path / "sessions.jsonl"):
        replica.sessions.load(orjson.loads(line))
    replica.sessions.evicted = state["evicted"]
    items = map(decode_item, _lines(path / "catalogue.jsonl"))
    replica.catalogue = {item.item_id: item for item in items}
    replica.positions = {(name, p): offset for name, p, offset in state["positions"]}
    replica.whole_log = state["whole_log"]
    return replica


def _without_scratch(replica: Replica) -> Engine:
    """Return the models with copies of the tables that answers keep writing to."""
    engine = replica.engine
    lengths = used(engine.arrays, engine.limits)
    still = copy.copy(engine)
    still.arrays = dict(engine.arrays)
    for name in TABLES_WITH_SCRATCH:
        still.arrays[name] = _copied(replica, engine.arrays[name][: lengths[name]])
    return still


def _copied(replica: Replica, table: NDArray[Any]) -> NDArray[Any]:
    out = np.empty_like(table)
    n = max(CHUNK_BYTES // table.itemsize, 1)
    for start in range(0, len(table), n):
        with replica.slice():
            out[start : start + n] = table[start : start + n]
    return out


def _batches(replica: Replica) -> Iterator[list[list[Any]]]:
    rows = replica.sessions.dump()
    while batch := list(islice(rows, SESSIONS_A_LINE)):
        yield batch


def _write_lines(path: Path, lines: Iterator[bytes]) -> None:
    with path.open("wb") as out:
        for line in lines:
            out.write(line)
            out.write(b"\n")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\n")


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            value = zlib.crc32(block, value)
    return value


def _number(path: Path) -> int:
    digits = path.name.removeprefix("snapshot-")
    return int(digits) if digits.isdigit() else 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
