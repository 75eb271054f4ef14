"""A backup: an archive of files, and a manifest that is written last and makes it whole.

One that was interrupted has no manifest, and is never taken for a backup.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from cli.backups import archive
from cli.backups.archive import DamagedError, Entry, Held
from cli.backups.place import Place
from cli.errors import CommandError

ARCHIVE, MANIFEST = "files.tar.zst", "manifest.json"

FORMAT = 1
"""Version of archive and manifest."""

Kind = Literal["stack", "snapshot"]
"""What was backed up: a stack, or the snapshot of one server or example emitter."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole backup.

    Parameters
    ----------
    name
        Its name; it says when it was begun.
    kind
        What was backed up; None if this version does not know it.
    version
        The version of nextclick that has written the files.
    files
        What the archive holds of each file, by its relative path; empty if this version cannot
        read that.
    format
        Version of archive and manifest.
    """

    name: str
    kind: Kind | None
    version: str
    files: dict[str, Held]
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of its files, before compression."""
        return sum(held.size for held in self.files.values())

    @property
    def readable(self) -> bool:
        """Whether this version can read it."""
        return self.format == FORMAT


def create(place: Place, name: str, kind: Kind, version: str, entries: Iterable[Entry]) -> Backup:
    """Write a backup.

    The order matters: the archive, and once it is there, the manifest.

    Raises
    ------
    CommandError
        If there is one that is not older by its name, which would be taken for the newest; or if a
        file cannot be backed up. Nothing is left then.
    """
    newest = max(place.names(), default="")
    if newest >= name:
        raise CommandError(
            f"{place} has a {newest} already, which is not older than {name}: set the clock right, "
            "move that one away, or try again in a second"
        )
    try:
        with place.writing(name, ARCHIVE) as out:
            files = archive.write(entries, out)
        backup = Backup(name, kind, version, files)
        with place.writing(name, MANIFEST) as out:
            out.write(_manifest(backup))
    except BaseException:
        with suppress(CommandError, OSError):  # what went wrong first is what is told
            place.remove(name, MANIFEST)
        raise
    return backup


def all_of(place: Place) -> dict[str, Backup | None]:
    """Return all backups, the oldest first; None for one that is not whole."""
    return {name: _read(place, name) for name in place.names()}


def find(place: Place, name: str | None) -> Backup:
    """Return the whole backup of a name, or the newest.

    Raises
    ------
    CommandError
        If there is none, or this version cannot read it.
    """
    whole = {name: backup for name, backup in all_of(place).items() if backup is not None}
    if not whole:
        raise CommandError(f"{place} has no whole backup; `nextclick backup create` makes one")
    if name is not None and name not in whole:
        raise CommandError(
            f"{place} has no whole backup {name!r}; `nextclick backup list` shows those there are"
        )
    backup = whole[name or max(whole)]
    if not backup.readable:
        raise CommandError(
            f"{backup.name} in {place} was written by another version of nextclick, "
            f"{backup.version}: use that one, or take an older backup with --name"
        )
    return backup


def prune(place: Place, keep: int) -> list[str]:
    """Remove all that is older than the newest ``keep`` whole backups; return what was removed.

    What is not whole and newer may be one that is being written, and stays.
    """
    backups = all_of(place)
    kept = [name for name, backup in backups.items() if backup is not None][-keep:]
    removed = [name for name in backups if kept and name < kept[0]]
    for name in removed:
        place.remove(name, MANIFEST)
    return removed


def check_empty(folder: Path) -> None:
    """Raise `CommandError` for a folder that is not new or empty: a backup would mix with it.

    What a new volume has at its root does not count.
    """
    if folder.exists() and (
        not folder.is_dir() or any(path.name != "lost+found" for path in folder.iterdir())
    ):
        raise CommandError(
            f"{folder} is not empty: move it away, or choose another folder for what is restored"
        )


def restore(place: Place, backup: Backup, folder: Path) -> None:
    """Write the files of a backup into a folder: all, or none.

    A stack's folder appears as a whole. A snapshot appears in the data folder, which may be a
    volume, or lie where nothing else may be written.

    Raises
    ------
    CommandError
        If the folder is not new or empty, or the backup is damaged.
    """
    folder = folder.resolve()
    check_empty(folder)
    temporary = folder.with_name(f"{folder.name}.restoring-{os.getpid()}")
    if backup.kind == "snapshot":
        temporary = folder / temporary.name
    elif os.path.ismount(folder):
        raise CommandError(f"{folder} is a mount point: choose a folder in it")
    temporary.mkdir(parents=True)
    try:
        with place.reading(backup.name, ARCHIVE) as stream:
            archive.extract(stream, temporary, backup.files)
        os.sync()
        if backup.kind == "snapshot":
            for snapshot in temporary.iterdir():
                snapshot.rename(folder / snapshot.name)
        else:
            check_empty(folder)
            temporary.rename(folder)
    except DamagedError as e:
        raise CommandError(
            f"{backup.name} in {place} is damaged: {e}; nothing was restored. "
            "`nextclick backup list` shows the others, --name takes one"
        ) from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _manifest(backup: Backup) -> bytes:
    files = {name: held._asdict() for name, held in backup.files.items()}
    return orjson.dumps(
        {"format": FORMAT, "version": backup.version, "kind": backup.kind, "files": files}
    )


def _read(place: Place, name: str) -> Backup | None:
    """Return a backup, None if it is not whole."""
    try:
        with place.reading(name, MANIFEST) as stream:
            held = orjson.loads(stream.read())
        if held["format"] != FORMAT:
            return Backup(name, held.get("kind"), held.get("version", ""), {}, held["format"])
        files = {file: Held(**told) for file, told in held["files"].items()}
        whole = place.has(name, ARCHIVE)
        return Backup(name, held["kind"], held["version"], files) if whole else None
    except (FileNotFoundError, orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None
