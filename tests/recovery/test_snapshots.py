"""A replica's snapshot: all or nothing, and the log goes on where it ends."""

import threading

import orjson
import pytest
from prometheus_client import REGISTRY

from nextclick import Item, encode_item
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.replica import snapshot
from server.replica.periodic_snapshots import PeriodicSnapshots
from server.replica.replica import Replica

LIMITS = Limits(max_items=128, max_sessions=64, pairs=64)


def record(name, n):
    out = SessionRecord(session_id=name, version=n, user_id=f"u-{name}")
    for seq in range(1, n + 1):
        out.steps.add(item_id=f"i{seq}", seq=seq, timestamp_ms=seq)
    return out.SerializeToString()


def entries(replica):
    return {name: list(records) for name, records in replica.catalogue.dump().items()}


@pytest.fixture
def replica():
    replica = Replica(Engine(LIMITS, sample=0, remote=True))
    for name in ("a", "b", "c"):
        replica.apply_session(b"", record(name, 3))
    replica.apply_item(b"", encode_item(Item("i2", categories=("x",), title="two")))
    replica.apply_item(b"", encode_item(Item("i3", deleted=True)))
    replica.positions = {("sessions", 0): 3, ("items", 2): 2}
    replica.topic_ids = {"sessions": "x", "items": "y"}
    replica.whole_log = True
    return replica


def test_a_restart_knows_what_the_snapshot_knew(replica, tmp_path):
    """What is lost in a restart would be asked of the log again, or answered wrongly."""
    snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, LIMITS)
    assert again.positions == replica.positions
    assert entries(again) == entries(replica)
    assert again.topic_ids == replica.topic_ids == {"sessions": "x", "items": "y"}
    assert again.whole_log
    assert again.engine.clicks == replica.engine.clicks
    assert list(again.sessions.dump()) == list(replica.sessions.dump())
    rows = [again.engine.row("i1")]
    assert (
        again.engine.recommend(rows, 5).scores.tolist()
        == replica.engine.recommend(rows, 5).scores.tolist()
    )
    assert again.engine.is_deleted(again.engine.row("i3"))


def test_the_live_score_is_there_after_a_restart(replica, tmp_path):
    """Its position is in the snapshot: at night there was none until somebody clicked."""
    score = Score(model="blend", cases=70, click_through_rate=0.25)
    replica.apply_score(b"blend", score.SerializeToString())
    replica.positions["shop.scoreboard", 1] = 9
    path = snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, LIMITS)
    assert again.scoreboard == {"blend": score}
    assert again.positions["shop.scoreboard", 1] == 9
    assert REGISTRY.get_sample_value("nextclick_click_through_rate", {"model": "blend"}) == 0.25
    without_scores(path)
    again = snapshot.read(tmp_path, LIMITS)
    assert not again.scoreboard
    assert set(again.positions) == {("sessions", 0), ("items", 2)}


def without_scores(path):
    """Make a snapshot one of the version that kept neither scores nor the ids of topics."""
    state = orjson.loads((path / "replica.json").read_bytes())
    del state["scoreboard"], state["topic_ids"]
    (path / "replica.json").write_bytes(orjson.dumps(state))
    sums = orjson.loads((path / "checksums.json").read_bytes())
    sums["replica.json"] = snapshot._checksum(path / "replica.json")
    (path / "checksums.json").write_bytes(orjson.dumps(sums))


def test_replaying_records_that_the_snapshot_has_changes_nothing(replica, tmp_path):
    """Positions may be older than the snapshot's sessions: versions keep it exact."""
    snapshot.write(replica, tmp_path)
    again = snapshot.read(tmp_path, LIMITS)
    for name in ("a", "b", "c"):
        again.apply_session(b"", record(name, 3))
    assert again.engine.clicks == replica.engine.clicks
    again.apply_session(b"", record("a", 4))
    assert again.engine.clicks == replica.engine.clicks + 1


def test_a_damaged_snapshot_falls_back_to_the_one_before(replica, tmp_path):
    """A power cut in mid-write must not cost more than the newest snapshot."""
    first = snapshot.write(replica, tmp_path)
    replica.apply_session(b"", record("d", 2))
    second = snapshot.write(replica, tmp_path)
    (second / "replica.json").write_bytes(b"{")
    assert snapshot.read(tmp_path, LIMITS).sessions.get("d") is None
    (first / "models" / "rules.npy").unlink()
    assert snapshot.read(tmp_path, LIMITS) is None


def test_a_snapshot_that_fails_is_counted_and_leaves_nothing(replica, tmp_path, monkeypatch):
    """Whatever fails in it, the log is read on, and the disk does not fill."""
    before = REGISTRY.get_sample_value("nextclick_snapshots_failed_total")
    monkeypatch.setattr(snapshot, "_checksum", lambda path: 1 / 0)
    now = 0.0
    periodic = PeriodicSnapshots(replica, tmp_path, 10, threading.Event(), lambda: now)
    now = 11.0
    periodic()
    periodic()
    assert REGISTRY.get_sample_value("nextclick_snapshots_failed_total") == before + 1
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    now = 22.0
    periodic()
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000001"]


def test_a_snapshot_that_is_asked_for_is_written_once_whatever_the_interval(replica, tmp_path):
    """A backup waits for it, in a quiet shop too, whose newest snapshot has everything."""
    asked_for = threading.Event()
    periodic = PeriodicSnapshots(replica, tmp_path, 0, asked_for, lambda: 0.0)
    for expected in (["snapshot-000001"], ["snapshot-000001", "snapshot-000002"]):
        asked_for.set()
        periodic()
        periodic()
        assert sorted(path.name for path in tmp_path.iterdir()) == expected


def test_only_the_last_two_snapshots_stay(replica, tmp_path):
    """Restarts for a year must not fill the disk; a leftover of a crash is cleared."""
    for _ in range(4):
        snapshot.write(replica, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["snapshot-000003", "snapshot-000004"]


def test_an_interrupted_write_leaves_the_older_snapshot_alone(replica, tmp_path, monkeypatch):
    """The folder is renamed into place as the last step."""
    snapshot.write(replica, tmp_path)

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Engine, "snapshot", fails)
    with pytest.raises(OSError, match="disk full"):
        snapshot.write(replica, tmp_path)
    monkeypatch.undo()
    assert snapshot.read(tmp_path, LIMITS).engine.clicks == replica.engine.clicks
