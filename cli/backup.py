"""``nextclick backup``: what a running stack knows, in a folder or in S3, and back."""

from __future__ import annotations

import os
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.backups import backup as backups
from cli.backups.backup import Backup, Kind
from cli.backups.place import Place, name_at
from cli.console import err, print_json, print_line, print_table
from cli.errors import CommandError
from cli.figures import count, seconds, size
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack.image import image_of, image_of_snapshot
from cli.stack.layout import Home
from cli.stack.process import BEHIND
from cli.stack.stack import Stack

backup_app = typer.Typer(help="Backups of the running stack.", no_args_is_help=True)

Where = Annotated[
    str, typer.Argument(help="Where the backups are: a folder, or s3://BUCKET/PREFIX.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="In the place of a stack, the snapshot of one server or example emitter: its "
        "NEXTCLICK_DATA_DIR.",
        file_okay=False,
    ),
]


@backup_app.command()
def create(
    where: Where,
    home: HomeFolder = DEFAULT_HOME,
    data_dir: DataDir = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but the newest so many; default: remove none."),
    ] = None,
    json: Json = False,
) -> None:
    """Back up the running stack, which goes on meanwhile.

    nextclick backup create s3://backups/shop --keep 7
    """
    started = time.monotonic()
    place, name = Place(where), name_at(time.time())
    with err.status("backing up") as note:
        if data_dir is None:
            stack = Stack.in_folder(home)
            os.nice(BEHIND)  # answers have priority
            image = image_of(stack, lambda text: note.update(f"{text} ..."))
        else:
            image = image_of_snapshot(data_dir)
        kind: Kind = "stack" if data_dir is None else "snapshot"
        with image as entries:
            note.update(f"{count(len(entries))} files go to {place} ...")
            made = backups.create(place, name, kind, version("nextclick"), entries)
        removed = _prune(place, keep, name) if keep is not None else []
    lasted_s = time.monotonic() - started
    if json:
        print_json(_told(name, made) | {"removed": removed, "seconds": lasted_s})
        return
    print_line(f"{name} is in {place}: {size(made.size)} in {seconds(lasted_s)}")
    if removed:
        print_line(f"removed {', '.join(removed)}")


@backup_app.command("list")
def list_(where: Where, json: Json = False) -> None:
    """Show the backups, the oldest first.

    nextclick backup list s3://backups/shop
    """
    place = Place(where)
    found = backups.all_of(place)
    if json:
        print_json({"backups": [_told(name, backup) for name, backup in found.items()]})
        return
    if not found:
        print_line(f"there is no backup in {place}; `nextclick backup create` makes one")
        return
    print_table(
        f"backups in {place}",
        ("backup", "of...", "files", "size", "version..."),
        [_row(name, backup) for name, backup in found.items()],
    )


def _row(name: str, backup: Backup | None) -> tuple[str, str, str, str, str]:
    if backup is None:
        return name, "unfinished", "", "", ""
    if not backup.readable:
        return name, "unknown", "", "", backup.version
    return name, str(backup.kind), count(len(backup.files)), size(backup.size), backup.version


@backup_app.command()
def restore(
    where: Where,
    home: HomeFolder = DEFAULT_HOME,
    data_dir: DataDir = None,
    name: Annotated[
        str | None, typer.Option(help="The backup; default: the newest that is whole.")
    ] = None,
    json: Json = False,
) -> None:
    """Restore a backup into a folder that is new or empty.

    nextclick backup restore s3://backups/shop
    """
    started = time.monotonic()
    place, folder = Place(where), home if data_dir is None else data_dir
    if data_dir is None and Stack.running(Home(home.absolute())) is not None:
        raise CommandError(
            f"a stack runs in {home}: `nextclick down` ends it; then move the folder away, or "
            "choose another --home"
        )
    backups.check_empty(folder)
    with err.status(f"looking for backups in {place}") as note:
        backup = backups.find(place, name)
        _check_version(backup)
        if (backup.kind == "stack") != (data_dir is None):
            option = "--home" if backup.kind == "stack" else "--data-dir"
            raise CommandError(f"{backup.name} is of a {backup.kind}: say where to with {option}")
        note.update(f"{count(len(backup.files))} files of {backup.name} come from {place} ...")
        backups.restore(place, backup, folder)
    lasted_s = time.monotonic() - started
    if json:
        print_json(_told(backup.name, backup) | {"folder": str(folder), "seconds": lasted_s})
        return
    print_line(f"{backup.name} is in {folder}: {size(backup.size)} in {seconds(lasted_s)}")
    if data_dir is None:
        print_line(f"`nextclick up --home {folder}` goes on from there")


def _prune(place: Place, keep: int, made: str) -> list[str]:
    try:
        return backups.prune(place, keep)
    except (CommandError, OSError) as e:
        raise CommandError(f"{made} is in {place}, but older ones cannot be removed: {e}") from e


def _check_version(backup: Backup) -> None:
    """Raise `CommandError` for a backup of a later version, whose states ours may not read."""
    ours = version("nextclick")
    if _release(backup.version) > _release(ours):
        raise CommandError(
            f"{backup.name} was made by nextclick {backup.version}, and this is {ours}: restore it "
            "with that version, or take an older backup with --name"
        )


def _release(version_: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version_)[:3])


def _told(name: str, backup: Backup | None) -> dict[str, Any]:
    if backup is None:
        return {"backup": name, "whole": False}
    return {
        "backup": name,
        "whole": True,
        "of": backup.kind or "unknown",
        "files": len(backup.files),
        "bytes": backup.size,
        "version": backup.version,
    }
