"""`nextclick backup`, of a replica's snapshot; tests/recovery has a whole stack."""

import json
import sys
from contextlib import nullcontext
from unittest import mock

import pytest

from cli import backup, interrupt, main
from cli.errors import CommandError
from tests.unit.cli.mistakes import check

SNAPSHOT = "server/snapshot-000003"


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """A function that runs ``nextclick backup`` and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nextclick", "backup", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        printed, said = capsys.readouterr()
        assert end.value.code == 0, said
        return printed

    return run


@pytest.fixture
def server(tmp_path):
    """A data folder with a snapshot."""
    (tmp_path / SNAPSHOT).mkdir(parents=True)
    (tmp_path / SNAPSHOT / "nextclick-snapshot").touch()
    (tmp_path / SNAPSHOT / "replica.json").write_text("{}")
    return tmp_path / "server"


@pytest.fixture
def at(monkeypatch):
    """A function that sets the clock of the names."""

    def at(day):
        monkeypatch.setattr(backup, "name_at", lambda _: f"backup-202611{day:02d}T030000Z")

    return at


def test_a_snapshot_is_backed_up_listed_and_restored(run, server, at, tmp_path):
    """A new server starts from it, and reads only the rest of the log."""
    for day in (1, 2, 3):
        at(day)
        made = run("create", "kept", "--data-dir", "server", "--keep", "2", "--json")
    made = json.loads(made)
    assert (made["of"], made["files"], made["bytes"]) == ("snapshot", 2, 2)
    assert made["removed"] == ["backup-20261101T030000Z"]
    (tmp_path / "kept" / "backup-20261104T030000Z").mkdir()
    (tmp_path / "kept" / "backup-20261104T030000Z" / "files.tar.zst").touch()
    listed = json.loads(run("list", "kept", "--json"))["backups"]
    assert [(b["backup"][7:15], b["whole"]) for b in listed] == [
        ("20261102", True),
        ("20261103", True),
        ("20261104", False),
    ]
    restored = json.loads(run("restore", "kept", "--data-dir", "other", "--json"))
    assert restored["backup"] == "backup-20261103T030000Z"
    assert (tmp_path / "other" / "snapshot-000003" / "replica.json").read_text() == "{}"
    older = ("--name", "backup-20261102T030000Z", "--data-dir", "third", "--json")
    assert json.loads(run("restore", "kept", *older))["backup"] == older[1]


def test_a_snapshot_is_not_restored_as_a_stack(run, mistaken, server, at):
    """`up` would start beside it, from nothing."""
    at(1)
    run("create", "kept", "--data-dir", "server")
    sentence = "backup-20261101T030000Z is of a snapshot: say where to with --data-dir"
    check(mistaken("backup", "restore", "kept"), sentence)


def test_a_backup_of_a_later_version_is_not_restored(run, mistaken, server, at, monkeypatch):
    """Its snapshots and states may be such as this version cannot read."""
    at(1)
    run("create", "kept", "--data-dir", "server")
    monkeypatch.setattr(backup, "version", lambda _: "0.0.9")
    said = mistaken("backup", "restore", "kept", "--data-dir", "other")
    check(said, "was made by nextclick 0.1.0, and this is 0.0.9: restore it with that version")
    monkeypatch.setattr(backup, "version", lambda _: "0.10.0")
    run("restore", "kept", "--data-dir", "other")


def test_a_backup_that_was_made_is_told_though_older_ones_stay(mistaken, server, at, monkeypatch):
    """Who may write may not delete, in many buckets: the new backup is there all the same."""
    at(1)
    monkeypatch.setattr(backup.backups, "prune", mock.Mock(side_effect=CommandError("denied")))
    said = mistaken("backup", "create", "kept", "--data-dir", "server", "--keep", "1")
    check(said, "backup-20261101T030000Z is in kept, but older ones cannot be removed: denied")


def test_a_stack_that_runs_is_not_restored_over(mistaken, monkeypatch):
    """What to end is told, and then what to do with its folder."""
    monkeypatch.setattr(backup.Stack, "running", lambda _: mock.Mock())
    sentence = "a stack runs in .nextclick: `nextclick down` ends it; then move the folder away"
    check(mistaken("backup", "restore", "kept"), sentence)


def test_a_backup_gives_way_to_answers(run, monkeypatch):
    """It compresses gigabytes on the cores that answer."""
    nice = mock.Mock()
    monkeypatch.setattr(backup.os, "nice", nice)
    monkeypatch.setattr(backup.Stack, "in_folder", lambda _: mock.Mock())
    monkeypatch.setattr(backup, "image_of", lambda *_: nullcontext([]))
    run("create", "kept")
    nice.assert_called_once_with(backup.BEHIND)
