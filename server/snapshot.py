"""Snapshots of a replica: models, sessions, catalogue and positions, renamed into place whole.

Written in steps whose order matters: everything into a temporary folder, synced to disk;
then the rename; then older snapshots go. A reader takes the newest one that is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import orjson

from nextclick.codec import decode_item, encode_item
from online_models.engine import Engine
from online_models.layout import Limits
from online_models.snapshot import SnapshotError
from server.replica import Replica

log = logging.getLogger("nextclick.snapshot")

VERSION = 1
KEPT = 2


def write(replica: Replica, folder: Path) -> Path:
    """Write a snapshot of a replica that nobody changes meanwhile; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max((_number(path) for path in folder.glob("snapshot-*")), default=0) + 1
    temporary = folder / f"tmp-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    replica.engine.snapshot(temporary / "models")
    state = {
        "version": VERSION,
        "sessions": replica.sessions.dump(),
        "users": replica.sessions.users,
        "evicted": replica.sessions.evicted,
        "catalogue": [encode_item(item).decode() for item in replica.catalogue.values()],
        "positions": [[name, p, offset] for (name, p), offset in replica.positions.items()],
        "whole_log": replica.whole_log,
    }
    (temporary / "replica.json").write_bytes(orjson.dumps(state))
    for path in [*temporary.rglob("*"), temporary]:
        _sync(path)
    target = folder / f"snapshot-{number:06d}"
    temporary.rename(target)
    _sync(folder)
    for old in sorted(folder.glob("snapshot-*"))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    log.info(
        "wrote %s: %d clicks, %d sessions", target, replica.engine.clicks, len(replica.sessions)
    )
    return target


def read(folder: Path, limits: Limits, sample: int) -> Replica | None:
    """Return the replica of the newest whole snapshot, None if there is none to use."""
    for path in sorted(folder.glob("snapshot-*"), reverse=True):
        try:
            replica = _read(path, limits, sample)
        except (SnapshotError, OSError, ValueError, KeyError, TypeError) as e:
            log.warning("cannot use %s: %s; trying an older one, else the log", path, e)
            continue
        log.info("read %s: %d clicks", path, replica.engine.clicks)
        return replica
    return None


def _read(path: Path, limits: Limits, sample: int) -> Replica:
    state = orjson.loads((path / "replica.json").read_bytes())
    if state["version"] != VERSION:
        raise SnapshotError(f"version {state['version']}, this code reads {VERSION}")
    engine = Engine.restore(path / "models")
    if engine.limits != limits or engine.sample != sample:
        raise SnapshotError("its limits are not those of the settings")
    replica = Replica(engine)
    replica.sessions.load(state["sessions"], state["users"], state["evicted"])
    items = [decode_item(raw.encode()) for raw in state["catalogue"]]
    replica.catalogue = {item.item_id: item for item in items}
    replica.positions = {(name, p): offset for name, p, offset in state["positions"]}
    replica.whole_log = state["whole_log"]
    return replica


def _number(path: Path) -> int:
    digits = path.name.removeprefix("snapshot-")
    return int(digits) if digits.isdigit() else 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
