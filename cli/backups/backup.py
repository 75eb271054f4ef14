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
        What was backed up.
    version
        The version of nextclick that has written the files.
    files
        What the archive holds of each file, by its relative path.
    """

    name: str
    kind: Kind
    version: str
    files: dict[str, Held]

    @property
    def size(self) -> int:
        """Bytes of its files, before compression."""
        return sum(held.size for held in self.files.values())


def create(place: Place, name: str, kind: Kind, version: str, entries: Iterable[Entry]) -> Backup:
    """Write a backup.

    The order matters: the archive, and once it is there, the manifest.

    Raises
    ------
    CommandError
        If there is one of that name, or a file cannot be backed up; nothing is left then.
    """
    if name in place.names():
        raise CommandError(f"{place} has a {name} already; try again in a second")
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
        If there is none.
    """
    whole = {name: backup for name, backup in all_of(place).items() if backup is not None}
    if not whole:
        raise CommandError(f"{place} has no whole backup; `nextclick backup create` makes one")
    if name is None:
        return max(whole.values(), key=lambda backup: backup.name)
    if name not in whole:
        raise CommandError(
            f"{place} has no whole backup {name!r}; `nextclick backup list` shows those there are"
        )
    return whole[name]


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
    """Raise `CommandError` for a folder that is not new or empty: a backup would mix with it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(
            f"{folder} is not empty: move it away, or choose another folder for what is restored"
        )


def restore(place: Place, backup: Backup, folder: Path) -> None:
    """Write the files of a backup into a folder: all, or none.

    Raises
    ------
    CommandError
        If the folder is not new or empty, or the backup is damaged.
    """
    folder = folder.resolve()
    check_empty(folder)
    temporary = folder.with_name(f"{folder.name}.restoring-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        with place.reading(backup.name, ARCHIVE) as stream:
            archive.extract(stream, temporary, backup.files)
        os.sync()
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
    """Return a backup, None if it is not whole.

    Raises
    ------
    CommandError
        If a later version has written it.
    """
    try:
        with place.reading(name, MANIFEST) as stream:
            held = orjson.loads(stream.read())
        if held["format"] == FORMAT:
            files = {file: Held(**told) for file, told in held["files"].items()}
            return Backup(name, held["kind"], held["version"], files)
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    raise CommandError(
        f"{name} in {place} was written by another version of nextclick, {held['version']}: use "
        "that one"
    )
