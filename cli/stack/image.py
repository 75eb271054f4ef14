"""The image of a running stack: what a backup of it holds, as a folder of links and savepoints.

The log is the truth, and everything else says how much of it it has applied. So the log is taken
last, and a stack that is started from the image goes on as after a crash at that moment: jobs and
replicas read again what came after their own states, which changes nothing, since offsets, times of
arrival and ids of topics are those of before. Redis is left out: the store fills it from the log.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.backups.archive import Entry
from cli.errors import CommandError
from cli.stack import apps, flink_rest, job_state
from cli.stack.flink_rest import SAVEPOINT_S
from cli.stack.layout import IMPORTS, Child, Home
from cli.stack.process import paused, running, wait_until
from cli.stack.stack import Stack
from server.replica import saved_snapshots

REPLICAS = ("server", apps.EMITTER)

STAGED = ".nextclick-backup"
"""Folder of second names in a replica's data folder."""

LEFT_OUT = (".index", ".timeindex", ".deleted", ".lock")
"""Files of Kafka that it is about to delete, or makes anew. The indexes of a segment that is being
written have their full size at once: 20 MB for each partition."""


@contextmanager
def image_of(stack: Stack, progress: Callable[[str], None]) -> Iterator[list[Entry]]:
    """Yield the files of a running stack, all of one moment; they stay as they are until the end.

    The order matters: snapshots of the replicas, savepoints of the jobs and records of imports
    first; then the log, which has all that these have applied or sent. For that, the broker stands
    still for some milliseconds: its files only get second names. What it appends to them later is
    not counted.

    Parameters
    ----------
    stack
        The running stack.
    progress
        Told what happens.

    Raises
    ------
    CommandError
        If a part does not run, a state cannot be saved, or another image is being taken.
    """
    home = stack.home
    with _alone(home.root):
        staged = home.scratch("backup")
        try:
            progress("the server and the emitter write snapshots")
            entries = [
                entry
                for snapshot in _new_snapshots(stack)
                for entry in _hold(_files(snapshot), home.root, staged)
            ]
            progress("the jobs save their states")
            entries += _states(stack, staged)
            entries += _hold(_files(home.path(IMPORTS)), home.root, staged)
            data = home.root / "kafka" / "data"
            with paused(_part(stack, "kafka")):
                entries += _hold(_log_files(data), home.root, staged)
            yield entries
        finally:
            shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def image_of_snapshot(folder: Path) -> Iterator[list[Entry]]:
    """Yield the files of the newest snapshot in a replica's data folder; it may run meanwhile.

    Raises
    ------
    CommandError
        If there is none, or another image is being taken.
    """
    snapshot = _newest_snapshot(folder)
    if snapshot is None:
        raise CommandError(
            f"{folder} has no snapshot: a server or an example emitter writes one into its "
            "NEXTCLICK_DATA_DIR every NEXTCLICK_SNAPSHOT_INTERVAL_S, and when it is ended"
        )
    with _alone(folder):
        staged = folder / STAGED
        shutil.rmtree(staged, ignore_errors=True)  # of one that was killed: gigabytes
        try:
            yield _hold(_files(snapshot), folder, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to take an image of what is in a folder."""
    with (folder / "backup.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another backup of what is in {folder} is being made; wait for its end"
            ) from None
        yield


def _new_snapshots(stack: Stack) -> list[Path]:
    """Have the replicas write a snapshot each, and return these."""
    before = {name: _newest_snapshot(stack.home.root / name) for name in REPLICAS}
    for name in REPLICAS:
        running(_part(stack, name)).send_signal(signal.SIGUSR1)
    return [_newer_snapshot(stack, name, before[name]) for name in REPLICAS]


def _newer_snapshot(stack: Stack, name: str, before: Path | None) -> Path:
    newest: Path | None = None

    def written() -> bool:
        nonlocal newest
        newest = _newest_snapshot(stack.home.root / name)
        return newest not in (None, before)

    logs = [(_part(stack, name), stack.home.log(name))]
    wait_until(written, SAVEPOINT_S, f"a snapshot of the {name}", logs)
    assert newest is not None
    return newest


def _part(stack: Stack, name: str) -> Child:
    part = stack.find_child(name)
    if part is None:
        raise CommandError(
            f"the stack in {stack.home.root} has no {name}; is it still being started? "
            "`nextclick status` shows its parts"
        )
    return part


def _newest_snapshot(folder: Path) -> Path | None:
    """Return the newest whole snapshot of a replica, None if it has none."""
    return next(iter(saved_snapshots.newest_first(folder)), None)


def _states(stack: Stack, staged: Path) -> list[Entry]:
    """Return a savepoint of each job: a new one of those that run, the last one of the others."""
    known = flink_rest.known_jobs(stack.ports)
    if known is None:
        raise CommandError(
            f"Flink does not answer on port {stack.ports.flink}: `nextclick status` shows whether "
            "it runs"
        )
    entries = []
    runs = {job["name"]: job["jid"] for job in known if job["state"] not in flink_rest.ENDED}
    for name, run in runs.items():
        folder = staged / "flink" / "savepoints" / name
        folder.mkdir(parents=True)
        flink_rest.save(stack.ports, run, folder)
        entries += [_entry(path, staged) for path in _files(folder)]
    submitted = {path.name for path in stack.home.path("flink", "savepoints").iterdir()}
    for name in sorted(submitted - set(runs)):
        entries += _hold(_last_savepoint(stack.home, name), stack.home.root, staged)
    return entries


def _last_savepoint(home: Home, name: str) -> list[Path]:
    """Return the files of the state of a job that does not run; it may have had none.

    Raises
    ------
    CommandError
        If it is a checkpoint: these name their files by their whole path.
    """
    state = job_state.newest(home, name)
    if state is None:
        return []
    if state.parent != job_state.savepoints(home, name):
        raise CommandError(
            f"the job {name} does not run, and its newest state, {state}, is a checkpoint, which "
            f"can be read there only: `nextclick jobs submit {name}` lets it run again"
        )
    return _files(state)


def _log_files(data: Path) -> list[Path]:
    return [path for path in _files(data) if not path.name.endswith(LEFT_OUT)]


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _hold(files: list[Path], root: Path, staged: Path) -> list[Entry]:
    """Give files second names, below ``staged`` as they are below ``root``.

    So they stay, whoever deletes or replaces them. None of them is changed but at its end.
    """
    entries = []
    for path in files:
        link = staged / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, link)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, link)
        entries.append(_entry(link, staged))
    return entries


def _entry(path: Path, staged: Path) -> Entry:
    return Entry(path.relative_to(staged).as_posix(), path, path.stat().st_size)
