"""The folder of a replica's snapshots: their order, which are kept aside and why, and which go.

`snapshot-N` are those of this replica, the latest first in use. One that could not be read, or that
held more than its reader, is renamed to `kept-N` with the reason in a file: it may be the only copy
of counts that are older than the log. Numbers are never given twice, so a name says how old it is.

Others may use the folder too. What they have called `snapshot-20240101` is neither read, nor
renamed, nor removed: a folder is ours by its exact name and the marker in it.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("nextclick.snapshot")

KINDS = ("snapshot", "kept")

LATEST = 2
"""Snapshots that stay besides those kept aside: the newest."""

MOST_KEPT = 3
"""The most snapshots kept aside: the first, which no later fault replaces, and the newest two."""

MARKER = "nextclick-snapshot"
"""The file, made first of all, by which a folder is known as a snapshot, unfinished or whole."""

FORMER = Path("models", "meta.json"), b'{"version": '
"""A file by which whole snapshots of the versions before are known, and how it begins."""

UNFINISHED = "unfinished-snapshot-"
REASON = "reason.txt"
REASON_LENGTH = 500


def begin(folder: Path) -> Path:
    """Return a new folder, of this process, in which the next snapshot is written."""
    path = folder / f"{UNFINISHED}{os.getpid()}"
    path.mkdir()
    (path / MARKER).touch()
    return path


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that died while they wrote a snapshot have left: gigabytes each."""
    for left in folder.glob(f"{UNFINISHED}*"):
        if not left.name.removeprefix(UNFINISHED).isdecimal():
            continue
        if (left / MARKER).exists():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):  # not empty: somebody else's
                left.rmdir()


def newest_first(folder: Path) -> list[Path]:
    """Return all complete snapshots, those kept aside included."""
    snapshots = (path for kind in KINDS for path in _all(folder, kind))
    return sorted(snapshots, key=_number, reverse=True)


def next_name(folder: Path) -> str:
    """Return the name of the next snapshot."""
    newest = newest_first(folder)
    number = _number(newest[0]) + 1 if newest else 1
    while any((folder / _name(kind, number)).exists() for kind in KINDS):  # somebody else's
        number += 1
    return _name("snapshot", number)


def kept(folder: Path) -> dict[str, str]:
    """Return the snapshots that are kept aside, by name, and why."""
    return {path.name: _reason(path) for path in _all(folder, "kept")}


def keep(path: Path, reason: str) -> None:
    """Keep a snapshot aside."""
    try:
        aside = path.rename(path.with_name(_name("kept", _number(path))))
        (aside / REASON).write_text(" ".join(reason.split())[:REASON_LENGTH])
    except OSError as e:  # what can be read must be used even if nothing can be written
        log.warning("cannot keep %s aside, or say why: %s", path, e)


def use_again(path: Path) -> None:
    """Note that a snapshot was read without a loss: it need not be kept aside."""
    try:
        (path / REASON).unlink(missing_ok=True)
        path.rename(path.with_name(_name("snapshot", _number(path))))
    except OSError as e:
        log.warning("%s was read, but is still kept aside: %s", path, e)


def prune(folder: Path) -> None:
    """Remove the snapshots beyond the limits."""
    for old in _all(folder, "snapshot")[:-LATEST]:
        shutil.rmtree(old, ignore_errors=True)
    for old in _all(folder, "kept")[1 : 1 - MOST_KEPT]:
        log.warning("removing %s, since later ones are kept as well: %s", old, _reason(old))
        shutil.rmtree(old, ignore_errors=True)


def _all(folder: Path, kind: str) -> list[Path]:
    ours = (path for path in folder.glob(f"{kind}-*") if _is_ours(path))
    return sorted(ours, key=_number)


def _is_ours(path: Path) -> bool:
    kind, _, number = path.name.partition("-")
    if not number.isdecimal() or path.name != _name(kind, int(number)):
        return False
    if (path / MARKER).exists():
        return True
    file, beginning = FORMER
    try:
        with (path / file).open("rb") as opened:
            return opened.read(len(beginning)) == beginning
    except OSError:
        return False


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number:06d}"


def _number(path: Path) -> int:
    return int(path.name.partition("-")[2])


def _reason(path: Path) -> str:
    try:
        return (path / REASON).read_text()
    except (OSError, ValueError):
        return "unknown"
