"""Snapshots are read into other limits; what cannot be used, or not all of it, is kept."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from nextclick.codec import Item, encode_item
from nextclick.v1.session_pb2 import SessionRecord
from online_models import sweep
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server import status
from server.replica import saved_snapshots, snapshot
from server.replica.catalogue_entries import MOST_BYTES
from server.replica.replica import Replica

LIMITS = Limits(max_items=128, max_sessions=64, pairs=64)
LARGER = Limits(max_items=512, max_sessions=256, pairs=256)
SMALLER = Limits(max_items=32, max_sessions=16, pairs=16)


def record(name, n):
    out = SessionRecord(session_id=name, version=n, user_id=f"u-{name}")
    for seq in range(1, n + 1):
        out.steps.add(item_id=f"i{(int(name[1:]) + seq) % 100}", seq=seq, timestamp_ms=seq)
    return out.SerializeToString()


def put(replica, item_id, **fields):
    replica.apply_item(item_id.encode(), encode_item(Item(item_id, **fields)))


def taught(limits=LIMITS):
    """A replica with 40 sessions, 100 clicked items and 20 of the catalogue."""
    replica = Replica(Engine(limits, sample=0, remote=True))
    for number in range(40):
        replica.apply_session(b"", record(f"s{number}", 5))
    for i in range(80, 100):
        put(replica, f"i{i}", categories=(f"c{i}",))
    replica.positions = {("sessions", 0): 40, ("items", 2): 20}
    replica.whole_log = True
    return replica


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_docs_tell_how_much_is_kept():
    """An operator sizes the disk and the memory by them."""
    told = (Path(__file__).parents[4] / "docs" / "operating.md").read_text()
    n, most = saved_snapshots.LATEST, saved_snapshots.MOST_KEPT
    assert f"| the newest {n}, and {most} kept aside: the first and the newest {most - 1}" in (
        told.replace("newest two", "newest 2")
    )
    assert told.count(f"| {MOST_BYTES >> 20} MiB") == 2


def test_a_line_of_sessions_is_short(tmp_path):
    """Requests wait while it is encoded: 500 sessions with long lists of purchases took 50 ms."""
    replica = taught(LARGER)
    for number in range(200):
        replica.apply_session(b"", record(f"s{number}", 1))
        replica.sessions.get(f"s{number}").purchased = tuple(f"i{n}" for n in range(200))
    snapshot.write(replica, tmp_path)
    with (tmp_path / "snapshot-000001" / "sessions.jsonl").open("rb") as file:
        lines = [json.loads(line) for line in file]
    hidden, bought = 6, 7
    ids = [sum(1 + len(row[hidden]) + len(row[bought]) for row in line) for line in lines]
    assert max(ids) < snapshot.IDS_A_LINE + 250
    again = snapshot.read(tmp_path, LARGER)
    assert list(again.sessions.dump()) == list(replica.sessions.dump())


def test_larger_limits_lose_nothing(tmp_path):
    """An operator raises a limit so that more is known, not to begin anew."""
    replica = taught()
    snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, LARGER)
    assert again.engine.limits == LARGER
    assert again.engine.rows == replica.engine.rows
    assert again.positions == replica.positions
    assert again.whole_log
    assert again.sessions.evicted == 0
    assert list(again.sessions.dump()) == list(replica.sessions.dump())
    for number in range(40):
        again.apply_session(b"", record(f"s{number}", 5))
    assert again.engine.clicks == replica.engine.clicks
    again.apply_session(b"", record("s3", 6))
    assert again.engine.clicks == replica.engine.clicks + 1
    assert names(tmp_path) == ["snapshot-000001"]


def test_smaller_limits_keep_the_newest_sessions_and_the_items_worth_most(tmp_path):
    """What fits must go on where it was: learned once, and at the same place of the log."""
    replica = taught()
    snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, SMALLER)
    assert again.engine.limits == SMALLER
    assert again.positions == replica.positions
    assert again.sessions.newest(64) == [f"s{number}" for number in range(39, 23, -1)]
    assert again.sessions.evicted == 24
    again.caught_up = True
    assert not again.definitive
    assert again.sessions.current_session("u-s39") == "s39"
    assert again.sessions.current_session("u-s0") == ""
    for number in range(24, 40):
        again.apply_session(b"", record(f"s{number}", 5))
    assert again.engine.clicks == replica.engine.clicks
    again.apply_session(b"", record("s99", 5))
    assert len(again.sessions) == 16
    rows = again.engine.rows
    assert 0 < len(rows) <= SMALLER.max_items
    catalogue = [f"i{i}" for i in range(80, 100)]
    assert len(again.catalogue) == sum(item_id in rows for item_id in catalogue)
    assert all(again.catalogue.get(item_id) for item_id in catalogue)


def test_a_snapshot_that_was_read_into_smaller_limits_is_kept_to_go_back_to(tmp_path, caplog):
    """A mistyped limit must not cost what the log no longer has."""
    replica = taught()
    replica.positions = {("sessions", 0): 41}
    snapshot.write(replica, tmp_path)
    for _ in range(saved_snapshots.LATEST + 2):
        mistyped = snapshot.read(tmp_path, SMALLER)
        snapshot.write(mistyped, tmp_path)
    assert names(tmp_path) == ["kept-000001", "snapshot-000004", "snapshot-000005"]
    reason = status.describe(mistyped, True)["kept_snapshots"]["kept-000001"]
    assert "max_items 128, now 32; max_sessions 64, now 16" in reason
    assert "24 sessions" in reason
    assert reason in caplog.text
    # As docs/operating.md says: the newer ones are moved away, and the limits set right.
    for path in list(tmp_path.glob("snapshot-*")):
        path.rename(tmp_path / f"away-{path.name}")
    again = snapshot.read(tmp_path, LIMITS)
    assert again.engine.rows == replica.engine.rows
    assert list(again.sessions.dump()) == list(replica.sessions.dump())
    assert again.positions == replica.positions
    assert (tmp_path / "snapshot-000001").exists()
    assert saved_snapshots.kept(tmp_path) == {}


@pytest.mark.parametrize("field", ["max_items", "max_sessions"])
def test_a_smaller_limit_alone_keeps_it_too(tmp_path, field):
    """Whatever became smaller: lists and pairs may have been cut although all rows fit."""
    snapshot.write(taught(), tmp_path)
    less = dataclasses.replace(LIMITS, **{field: getattr(LIMITS, field) // 2})
    assert snapshot.read(tmp_path, less) is not None
    [(name, reason)] = saved_snapshots.kept(tmp_path).items()
    assert name == "kept-000001"
    assert f"{field} {getattr(LIMITS, field)}, now {getattr(LIMITS, field) // 2}" in reason


def damage(path, how):
    if how == "table":
        file = path / "models" / "rules.npy"
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif how == "state":
        (path / "replica.json").write_bytes(b"{")
    elif how == "no sums":
        (path / "checksums.json").unlink()
    else:
        meta = path / "replica.json"
        meta.write_bytes(meta.read_bytes().replace(b'"version":3', b'"version":99'))


@pytest.mark.parametrize("how", ["table", "state", "no sums", "version"])
def test_an_unreadable_snapshot_is_kept_and_an_older_one_read(tmp_path, caplog, how):
    """It may be mended, or read by the version that wrote it; meanwhile nothing may replace it."""
    replica = taught()
    snapshot.write(replica, tmp_path)
    replica.positions = {("sessions", 0): 41}
    damage(snapshot.write(replica, tmp_path), how)
    again = snapshot.read(tmp_path, LIMITS)
    assert again.positions[("items", 2)] == 20
    for _ in range(saved_snapshots.LATEST + 1):
        snapshot.write(again, tmp_path)
    assert names(tmp_path) == ["kept-000002", "snapshot-000004", "snapshot-000005"]
    [(name, reason)] = again.kept_snapshots.items()
    assert name == "kept-000002"
    assert ("version 99, this code reads 3" if how == "version" else "damaged") in reason
    assert reason in caplog.text


def test_without_any_readable_one_the_log_is_read_and_all_are_kept(tmp_path):
    """The numbers go on, so that no name is given twice."""
    replica = taught()
    for _ in range(2):
        damage(snapshot.write(replica, tmp_path), "version")
    assert snapshot.read(tmp_path, LIMITS) is None
    for _ in range(3):
        snapshot.write(replica, tmp_path)
    assert names(tmp_path) == ["kept-000001", "kept-000002", "snapshot-000004", "snapshot-000005"]
    assert set(replica.kept_snapshots) == {"kept-000001", "kept-000002"}


def test_the_version_that_wrote_a_kept_snapshot_reads_it_again(tmp_path, monkeypatch):
    """After an upgrade that is taken back, the counts are those of before, without a hand."""
    replica = taught()
    for _ in range(2):
        snapshot.write(replica, tmp_path)
    monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)
    assert snapshot.read(tmp_path, LIMITS) is None
    snapshot.write(Replica(Engine(LIMITS, sample=0, remote=True)), tmp_path)
    monkeypatch.undo()
    again = snapshot.read(tmp_path, LIMITS)
    assert again.engine.clicks == replica.engine.clicks
    assert names(tmp_path) == ["kept-000001", "kept-000003", "snapshot-000002"]
    snapshot.write(again, tmp_path)
    assert names(tmp_path)[-1] == "snapshot-000004"


def test_the_first_and_the_newest_kept_snapshots_stay(tmp_path, caplog):
    """Restarts with a fault must not fill the disk; the first has what the log lacks soonest."""
    replica = taught()
    for _ in range(6):
        damage(snapshot.write(replica, tmp_path), "state")
        assert snapshot.read(tmp_path, LIMITS) is None
    snapshot.write(replica, tmp_path)
    assert names(tmp_path) == ["kept-000001", "kept-000005", "kept-000006", "snapshot-000007"]
    assert len(replica.kept_snapshots) == saved_snapshots.MOST_KEPT
    removed = [r.getMessage() for r in caplog.records if "removing" in r.getMessage()]
    assert len(removed) == 3
    assert all("damaged" in line for line in removed)


def test_a_folder_that_cannot_be_changed_is_read_all_the_same(tmp_path, monkeypatch, caplog):
    """A full disk must not keep a server from answering."""
    replica = taught()
    snapshot.write(replica, tmp_path)
    damage(snapshot.write(replica, tmp_path), "state")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(saved_snapshots.Path, "rename", full)
    assert snapshot.read(tmp_path, SMALLER).positions == replica.positions
    assert "no space left" in caplog.text


def visit(name, n):
    out = SessionRecord(session_id=name, version=n, incarnation=1_000, appended_ms=1_000 + n)
    for seq in range(1, n + 1):
        out.steps.add(item_id=f"i{seq}", seq=seq, appended_ms=1_000 + seq)
    return out.SerializeToString()


def test_what_is_known_of_evicted_sessions_is_in_the_snapshot(tmp_path):
    """After a restart, each session that returned would be learned again, up to 50 clicks."""
    replica = taught()
    for n in range(80):
        replica.apply_session(b"", visit(f"v{n}", 3))
    path = snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, SMALLER)
    for name in ("v0", "v30", "v79"):  # evicted before, left out now, in memory
        again.apply_session(b"", visit(name, 4))
    assert again.engine.clicks == replica.engine.clicks + 3
    # The version before did not write it.
    path = tmp_path / path.name.replace("snapshot", "kept")
    (path / snapshot.EVICTED).unlink()
    sums = json.loads((path / "checksums.json").read_text())
    del sums[snapshot.EVICTED]
    (path / "checksums.json").write_text(json.dumps(sums))
    again = snapshot.read(tmp_path, LIMITS)
    assert again.sessions.get("v79")


def test_items_are_read_again_after_a_version_that_knew_less_of_them(tmp_path):
    """A server that was replaced last had applied them without their kind and numbers."""
    replica = taught()
    replica.positions = {("shop.sessions", 0): 40, ("shop.items", 2): 20}
    path = snapshot.write(replica, tmp_path)
    assert snapshot.read(tmp_path, LIMITS).positions == replica.positions
    sums = json.loads((path / "checksums.json").read_text())
    del sums["users.jsonl"]
    (path / "checksums.json").write_text(json.dumps(sums))
    assert snapshot.read(tmp_path, LIMITS).positions == {("shop.sessions", 0): 40}


def test_items_that_wait_or_have_left_are_in_the_snapshot(tmp_path, monkeypatch):
    """Their records lie before the snapshot's positions: the log would not be asked for them."""
    replica = taught(SMALLER)
    for i in range(40):
        put(replica, f"old{i}")
    monkeypatch.setattr(sweep, "MOST_PLACES", 1)
    for i in range(60):
        put(replica, f"new{i}")
    assert replica.catalogue.waiting
    assert replica.catalogue.left
    snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, SMALLER)
    dumps = [
        {name: list(lines) for name, lines in r.catalogue.dump().items()} for r in (replica, again)
    ]
    assert dumps[0] == dumps[1]
    monkeypatch.undo()
    larger = snapshot.read(tmp_path, LARGER)
    assert not larger.catalogue.left
    larger.retry_items(time.perf_counter() + 60)
    assert not larger.catalogue.waiting
    items = [f"new{i}" for i in range(60)] + [f"old{i}" for i in range(40)]
    assert all(larger.engine.row(item_id) for item_id in items)
    assert len(larger.catalogue) == 120


def test_what_a_killed_process_left_unfinished_is_removed_at_the_start(tmp_path, monkeypatch):
    """It is as large as a snapshot, and the next one may be the write that fills the disk."""
    snapshot.write(taught(), tmp_path)
    for pid in (4711, 4712):
        monkeypatch.setattr(saved_snapshots.os, "getpid", lambda pid=pid: pid)
        left = saved_snapshots.begin(tmp_path)
    (left / "models").mkdir()
    (tmp_path / f"{saved_snapshots.UNFINISHED}4713").mkdir()  # killed before it was marked
    assert len(names(tmp_path)) == 4
    assert snapshot.read(tmp_path, LIMITS) is not None
    assert names(tmp_path) == ["snapshot-000001"]


THEIRS = (
    *("tmp-1", "snapshot-of-monday", "kept-letters"),
    *(f"snapshot-2024010{day}" for day in range(1, 6)),
    *("snapshot-000001", "kept-000002", "snapshot-1", "unfinished-snapshot-4711"),
    "unfinished-snapshot-of-my-book",
)


def test_folders_of_others_in_the_data_folder_stay(tmp_path):
    """Somebody's dated snapshots were renamed to `kept-*`, and then two of them removed."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    assert snapshot.read(tmp_path, LIMITS) is None
    for _ in range(3):
        snapshot.write(taught(), tmp_path)
    assert snapshot.read(tmp_path, LIMITS).engine.clicks == 200
    assert saved_snapshots.kept(tmp_path) == {}
    assert names(tmp_path) == sorted([*THEIRS, "snapshot-000004", "snapshot-000005"])
    assert all((tmp_path / name / "mine.txt").exists() for name in THEIRS)


def test_snapshots_of_the_versions_before_are_known_without_the_marker(tmp_path):
    """After an upgrade, the counts of years must be read, and in time removed."""
    first, _ = (snapshot.write(taught(), tmp_path) for _ in range(2))
    for path in tmp_path.iterdir():
        (path / saved_snapshots.MARKER).unlink()
        sums = json.loads((path / "checksums.json").read_text())
        del sums[saved_snapshots.MARKER]
        (path / "checksums.json").write_text(json.dumps(sums))
    again = snapshot.read(tmp_path, LIMITS)
    assert again.engine.clicks == 200
    snapshot.write(again, tmp_path)
    assert not first.exists()
    assert names(tmp_path) == ["snapshot-000002", "snapshot-000003"]


def test_a_snapshot_of_another_tenant_is_not_read_but_kept(tmp_path):
    """Whoever mistypes the tenant would answer one shop with what another's visitors clicked."""
    replica = taught()
    replica.positions = {("shop.sessions", 0): 40, ("shop.items", 2): 20}
    snapshot.write(replica, tmp_path)
    for other in ("", "shop2"):
        assert snapshot.read(tmp_path, LIMITS, tenant=other) is None
    assert names(tmp_path) == ["kept-000001"]
    assert "of another tenant" in (tmp_path / "kept-000001" / "reason.txt").read_text()
    assert snapshot.read(tmp_path, LIMITS, tenant="shop").positions == replica.positions
