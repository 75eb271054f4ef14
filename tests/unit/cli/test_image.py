"""The image of a running stack: of one moment, and it stays while everything goes on."""

import signal
import struct
import sys
from contextlib import ExitStack

import psutil
import pytest

from cli.errors import CommandError
from cli.stack import flink_rest, image, job_state
from cli.stack.image import STAGED, image_of, image_of_snapshot
from cli.stack.layout import Ports
from cli.stack.process import find, spawn, stop, wait_until
from cli.stack.stack import Stack

ACTIVE = "kafka/data/sessions-0/00000000000000000500.log"
CLOSED = "kafka/data/sessions-0/00000000000000000000.log"

BROKER = f"""
import time
with open({ACTIVE.rpartition("/")[2]!r}, "ab", buffering=0) as log:
    while True:
        log.write(b"record;")
"""
"""Appends to a segment as long as it lives."""

REPLICA = """
import pathlib, signal, sys
def write(*_):
    n = 1 + len(list(pathlib.Path().glob("snapshot-*")))
    new = pathlib.Path(f"unfinished-snapshot-{n}")
    new.mkdir()
    (new / "nextclick-snapshot").touch()
    (new / "models").write_text(f"of {n}")
    new.rename(f"snapshot-{n:06d}")
signal.signal(signal.SIGUSR1, write)
write()
print("ready", flush=True)
while True:
    signal.pause()
"""
"""Writes a snapshot when it starts, and when it is asked for one."""

RUNNING = [{"jid": "a", "name": "sessions", "state": "RUNNING"}]


def state(folder, number):
    """A whole state with its number, as Flink writes it."""
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(struct.pack(">iiq", 0, 6, number))
    (folder / "data").write_text(f"state {number}")
    return folder


@pytest.fixture
def stack(home, monkeypatch):
    """A stack of made parts: a broker that writes, two replicas, a Flink with a running job."""
    stack = Stack(home, Ports(), bound=True)
    for name, raw in {
        "meta.properties": "version=1",
        "recovery-point-offset-checkpoint": "0",
        ".lock": "",
        "sessions-0/00000000000000000000.log": "closed",
        "sessions-0/00000000000000000000.index": "\0" * 100,
        "sessions-0/00000000000000000000.timeindex": "\0" * 100,
        "sessions-0/00000000000000000009.log.deleted": "compacted",
        "sessions-0/leader-epoch-checkpoint": "0",
    }.items():
        path = home.root / "kafka" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(raw)
    (home.path("redis") / "dump.rdb").touch()
    (home.path("imports") / "0123.json").write_text('{"acknowledged": 7}')
    parts = {"kafka": (BROKER, "kafka/data/sessions-0")}
    parts |= {name: (REPLICA, name) for name in image.REPLICAS}
    for name, (code, folder) in parts.items():
        start = f"import os; os.chdir({str(home.path(folder))!r})\n{code}"
        argv = [sys.executable, "-c", start]
        stack.children.append(spawn(name, argv, home.log(name), {}, bound=True))
    for name in image.REPLICAS:
        wait_until(lambda n=name: "ready" in home.log(n).read_text(), 300, name)
    wait_until((home.root / ACTIVE).exists, 300, "the broker")
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: RUNNING)
    monkeypatch.setattr(
        flink_rest, "save", lambda _, run, folder: state(folder / f"savepoint-{run}", 7)
    )
    yield stack
    stop(stack.children)


def test_an_image_has_all_that_a_start_needs_and_no_more(stack, home):
    """Redis is filled from the log; indexes are made anew; older states would only take room."""
    state(job_state.savepoints(home, "sessions") / "savepoint-old", 3)
    state(job_state.savepoints(home, "learners") / "savepoint-b", 4)
    state(job_state.savepoints(home, "learners") / "savepoint-a", 2)
    with image_of(stack, lambda _: None) as entries:
        assert sorted(entry.name for entry in entries) == sorted(
            [
                "kafka/data/meta.properties",
                "kafka/data/recovery-point-offset-checkpoint",
                "kafka/data/sessions-0/leader-epoch-checkpoint",
                CLOSED,
                ACTIVE,
                "imports/0123.json",
                *(f"flink/savepoints/learners/savepoint-b/{f}" for f in ("_metadata", "data")),
                *(f"flink/savepoints/sessions/savepoint-a/{f}" for f in ("_metadata", "data")),
                *(
                    f"{name}/snapshot-000002/{file}"
                    for name in ("server", "emitter")
                    for file in ("nextclick-snapshot", "models")
                ),
            ]
        )
    assert not list((home.root / "scratch").iterdir())


def test_an_image_stays_while_everything_goes_on(stack, home):
    """The broker appends, deletes and compacts; snapshots and states are replaced."""
    with image_of(stack, lambda _: None) as entries:
        active = next(entry for entry in entries if entry.name == ACTIVE)
        now = home.root / ACTIVE
        wait_until(lambda: now.stat().st_size > active.size, 300, "the broker to go on")
        assert psutil.Process(stack.child("kafka").pid).status() != psutil.STATUS_STOPPED
        (home.root / CLOSED).unlink()
        (home.root / "kafka/data/meta.properties.tmp").write_text("version=2")
        (home.root / "kafka/data/meta.properties.tmp").replace(
            home.root / "kafka/data/meta.properties"
        )
        held = {entry.name: entry.path.read_bytes()[: entry.size] for entry in entries}
        assert held[CLOSED] == b"closed"
        assert held["kafka/data/meta.properties"] == b"version=1"
        assert held[ACTIVE] == (b"record;" * len(held[ACTIVE]))[: active.size]


def test_where_links_are_impossible_files_are_copied(stack, monkeypatch):
    """The folder of the broker may be on another disk."""

    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(image.os, "link", refused)
    with image_of(stack, lambda _: None) as entries:
        held = {entry.name: entry.path.read_bytes()[: entry.size] for entry in entries}
        assert held[CLOSED] == b"closed"
        assert held[ACTIVE].startswith(b"record;")


def test_a_second_image_is_refused_meanwhile(stack):
    """It would empty the folder of the first."""
    with image_of(stack, lambda _: None) as entries:
        with pytest.raises(CommandError, match=r"another backup .* wait for its end"):
            ExitStack().enter_context(image_of(stack, lambda _: None))
        assert all(entry.path.exists() for entry in entries)


def test_a_checkpoint_of_a_job_that_does_not_run_is_refused(stack, home):
    """It names its files by their path, and could not be read elsewhere."""
    job_state.savepoints(home, "learners")
    state(job_state.checkpoints(home, "learners") / ("0" * 32) / "chk-5", 5)
    with (
        pytest.raises(CommandError, match=r"learners does not run, .* `nextclick jobs submit lea"),
        image_of(stack, lambda _: None),
    ):
        pass
    assert find(stack.child("kafka")).status() != psutil.STATUS_STOPPED


def test_without_flink_or_a_replica_it_says_what_is_missing(stack, monkeypatch):
    """A backup without the state of a job would start it from nothing."""
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: None)
    with pytest.raises(CommandError, match="Flink does not answer"):
        ExitStack().enter_context(image_of(stack, lambda _: None))
    find(stack.child("emitter")).send_signal(signal.SIGKILL)
    wait_until(lambda: find(stack.child("emitter")) is None, 300, "its end")
    with pytest.raises(CommandError, match="emitter has ended"):
        ExitStack().enter_context(image_of(stack, lambda _: None))


def test_the_image_of_a_replica_is_its_newest_snapshot(stack, home):
    """It may be restored into another replica, which then need not read the whole log."""
    folder = home.root / "server"
    with image_of_snapshot(folder) as entries:
        assert [entry.name for entry in entries] == [
            "snapshot-000001/models",
            "snapshot-000001/nextclick-snapshot",
        ]
        with pytest.raises(CommandError, match=r"another backup .* wait for its end"):
            ExitStack().enter_context(image_of_snapshot(folder))
    assert {path.name for path in folder.iterdir()} == {"snapshot-000001", "backup.lock"}
    with pytest.raises(CommandError, match="has no snapshot"):
        ExitStack().enter_context(image_of_snapshot(home.path("empty")))


def test_what_a_killed_backup_has_left_in_a_data_folder_goes(stack, home):
    """Its second names would keep gigabytes of old snapshots, until the disk is full."""
    folder = home.root / "server"
    held = folder / STAGED / "snapshot-000000" / "models"
    held.parent.mkdir(parents=True)
    held.touch()
    with image_of_snapshot(folder) as entries:
        assert not held.exists()
        assert {entry.name.split("/")[0] for entry in entries} == {"snapshot-000001"}
