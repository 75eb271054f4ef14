"""Snapshots of a replica: models, sessions, catalogue, users and positions in the log, or nothing.

The order of the steps matters when writing: all files into a temporary folder; their checksums;
fsync; the rename into place; then older snapshots are removed. Readers use the newest snapshot that
they can, at whatever limits it was written. What they cannot use, or not all of, is kept aside
(`saved_snapshots`).

The thread that changes the models writes them, so they do not change meanwhile; answers continue.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from nextclick.topics import ITEMS, SCOREBOARD
from online_models.engine import Engine, SnapshotError
from online_models.memory.layout import Limits
from server import metrics
from server.replica import catalogue_entries, profiles, saved_snapshots, users
from server.replica.profiles import MOST_PROFILES
from server.replica.replica import Replica, Role

log = logging.getLogger("nextclick.snapshot")

VERSION = 3
IDS_A_LINE = 500
"""Ids of sessions and of their items in a line, up to a session more. Keeps calls of the serialiser
short, since requests wait while it runs: 500 sessions with as many items as they may have took 50
ms."""

EVICTED = "evicted-sessions.bin"

CHUNK_BYTES = 1 << 20
"""Bytes read at once for a checksum."""


def write(replica: Replica, folder: Path) -> Path:
    """Write a snapshot of a replica; return its folder.

    The replica may answer meanwhile, but not learn: call this from the thread that applies the log,
    or after it has ended. No other replica may use ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved_snapshots.remove_unfinished(folder)
    temporary = saved_snapshots.begin(folder)
    try:
        _write_files(replica, temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    target = temporary.rename(folder / saved_snapshots.next_name(folder))
    _sync(folder)
    saved_snapshots.prune(folder)
    replica.kept_snapshots = saved_snapshots.kept(folder)
    metrics.SNAPSHOT_TIME.set_to_current_time()
    log.info(
        "wrote %s: %d clicks, %d sessions", target, replica.engine.clicks, len(replica.sessions)
    )
    return target


def _write_files(replica: Replica, temporary: Path) -> None:
    """Write all files of a snapshot, and sync them."""
    replica.engine.snapshot(temporary / "models", replica.slice)
    state = {
        "version": VERSION,
        "evicted": replica.sessions.evicted,
        "positions": [[name, p, offset] for (name, p), offset in replica.positions.items()],
        "whole_log": replica.whole_log,
        "topic_ids": replica.topic_ids,
        "scoreboard": {
            model: b64encode(score.SerializeToString()).decode()
            for model, score in replica.scoreboard.items()
        },
    }
    (temporary / "replica.json").write_bytes(orjson.dumps(state))
    _write_lines(temporary / "sessions.jsonl", map(orjson.dumps, _batches(replica)))
    (temporary / EVICTED).write_bytes(replica.sessions.known_of_evicted.dump())
    for name, records in replica.catalogue.dump().items():
        _write_lines(temporary / name, records)
    _write_lines(temporary / users.FILE, replica.users.dump())
    with (temporary / profiles.FILE).open("wb") as file:
        replica.profiles.dump(file)
    sums = {name: _checksum(temporary / name) for name in _files(temporary)}
    (temporary / "checksums.json").write_bytes(orjson.dumps(sums))
    for path in [*temporary.rglob("*"), temporary]:
        _sync(path)


def read(
    folder: Path,
    limits: Limits,
    role: Role = Role.SERVER,
    tenant: str | None = None,
    max_users: int = users.MOST_USERS,
    max_profiles: int = MOST_PROFILES,
) -> Replica | None:
    """Return the replica of the newest snapshot that can be used, None if there is none.

    Those that cannot be used, or are read into smaller limits, are kept aside with the reason.
    Unfinished ones are removed: no other replica may use ``folder``.

    Parameters
    ----------
    folder, limits, role
        The data folder of the replica, its limits, and what it is.
    tenant
        Whose topics it must have been learned from; None: anybody's.
    max_users
        The most users in memory; with fewer than were saved, the oldest leave.
    max_profiles
        The most profiles in memory.
    """
    saved_snapshots.remove_unfinished(folder)
    for path in saved_snapshots.newest_first(folder):
        try:
            replica, lost = _read(path, limits, role, tenant, max_users, max_profiles)
        except Exception as e:  # whatever is wrong with it, the log can rebuild everything
            reason = str(e) if isinstance(e, SnapshotError) else f"damaged: {e!r}"
            log.warning(
                "cannot use %s, which is kept: %s; trying an older snapshot, or else reading the "
                "log", path, reason,
            )  # fmt: skip
            saved_snapshots.keep(path, reason)
            continue
        metrics.SNAPSHOT_TIME.set(path.stat().st_mtime)
        log.info("read %s: %d clicks", path, replica.engine.clicks)
        if lost:
            log.warning("%s is kept: %s", path, lost)
            saved_snapshots.keep(path, lost)
        else:
            saved_snapshots.use_again(path)
        return replica
    return None


def _read(
    path: Path,
    limits: Limits,
    role: Role,
    tenant: str | None,
    max_users: int,
    max_profiles: int,
) -> tuple[Replica, str]:
    """Return the replica of a snapshot, and what of it is lost in smaller limits."""
    state = orjson.loads((path / "replica.json").read_bytes())
    if state["version"] != VERSION:
        raise SnapshotError(f"version {state['version']}, this code reads {VERSION}")
    for name, *_ in state["positions"]:
        if tenant is not None and name.rpartition(".")[0] != tenant:
            raise SnapshotError(f"it was learned from {name}, a topic of another tenant")
    # A damaged table might not fail here, but crash a kernel after every start.
    sums = orjson.loads((path / "checksums.json").read_bytes())
    for name, checksum in sums.items():
        if _checksum(path / name) != checksum:
            raise SnapshotError(f"{name} is damaged")
    engine = Engine.restore(path / "models")
    if not engine.remote:
        raise SnapshotError("its models are not those of a replica")
    was, items = engine.limits, len(engine.rows)
    if was != limits:
        engine = engine.resized(limits)
    replica = Replica(engine, role, max_users=max_users, max_profiles=max_profiles)
    replica.sessions.evicted = state["evicted"]
    if EVICTED in sums:  # not in snapshots of the versions before
        replica.sessions.known_of_evicted.load((path / EVICTED).read_bytes())
    for line in _lines(path / "sessions.jsonl"):
        replica.sessions.load(orjson.loads(line))
    records: dict[str, Iterable[bytes]] = {
        name: _lines(path / name) if name in sums else () for name in catalogue_entries.FILES
    }
    if users.FILE in sums:
        replica.users.load(_lines(path / users.FILE))
    replica.catalogue.load(records, more_rows=limits.max_items > was.max_items)
    if profiles.FILE in sums:  # otherwise the topic is read from its beginning
        with (path / profiles.FILE).open("rb") as file:
            replica.profiles.load(file)
    replica.topic_ids = state.get("topic_ids", {})
    scores = state.get("scoreboard")
    # Of the versions before, positions of what is not here, or not all of it, mean nothing: they
    # kept no scores, and of an item only what they knew.
    here = {SCOREBOARD: scores is not None, ITEMS: users.FILE in sums}
    for model, score in (scores or {}).items():
        replica.apply_score(model.encode(), b64decode(score))
    replica.positions = {
        (name, p): offset
        for name, p, offset in state["positions"]
        if here.get(name.rpartition(".")[2], True)
    }
    replica.whole_log = state["whole_log"]
    return replica, _lost(
        was, limits, items - len(engine.rows), replica.sessions.evicted - state["evicted"]
    )


def _lost(was: Limits, limits: Limits, items: int, sessions: int) -> str:
    """Return what smaller limits have cost, empty if none is smaller."""
    smaller = [
        f"{name} {getattr(was, name)}, now {getattr(limits, name)}"
        for name in Limits.__dataclass_fields__
        if getattr(limits, name) < getattr(was, name)
    ]
    if not smaller:
        return ""
    return (
        f"read into smaller limits ({'; '.join(smaller)}): {max(items, 0)} items and {sessions} "
        "sessions are left out"
    )


def _batches(replica: Replica) -> Iterator[list[list[Any]]]:
    """Yield the sessions in lists that are encoded in a fraction of a millisecond."""
    batch: list[list[Any]] = []
    ids = 0
    for row in replica.sessions.dump():
        batch.append(row)
        hidden, purchased = row[6:8]
        ids += 1 + len(hidden) + len(purchased)
        if ids >= IDS_A_LINE:
            yield batch
            batch, ids = [], 0
    if batch:
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
