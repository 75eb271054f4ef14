"""The age of the newest snapshot, which an alert watches."""

import os
import time
from threading import Event

import pytest
from prometheus_client import REGISTRY

from server.replica import log_watch, snapshot
from server.replica.periodic_snapshots import PeriodicSnapshots

HOUR_S = 3_600


def gauge(name):
    return REGISTRY.get_sample_value(f"nextclick_snapshot{name}")


def test_the_age_is_that_of_the_newest_snapshot(replica, tmp_path):
    """What came after it is read again at the next start: with none for a week, for hours."""
    started = time.time()
    written = snapshot.write(replica, tmp_path)
    assert started <= gauge("_timestamp_seconds") <= time.time()
    os.utime(written, (started - HOUR_S, started - HOUR_S))
    assert snapshot.read(tmp_path, replica.engine.limits)
    assert gauge("_timestamp_seconds") == pytest.approx(started - HOUR_S)


def test_a_snapshot_that_has_everything_does_not_grow_old(replica, tmp_path):
    """In a quiet night nothing is written, and nobody need be woken."""
    now = 0.0
    replica.positions = {("sessions", 0): 1}
    periodic = PeriodicSnapshots(replica, tmp_path, 10, Event(), lambda: now)
    assert gauge("_interval_seconds") == 10
    now = 11.0
    periodic()
    first = gauge("_timestamp_seconds")
    now = 22.0
    periodic()
    assert gauge("_timestamp_seconds") > first
    assert len(list(tmp_path.iterdir())) == 1


def test_how_long_a_snapshot_took_is_told(replica, tmp_path, monkeypatch):
    """The log is not read meanwhile: answers are stale by as much."""
    now = 11.0

    def write(*_):
        nonlocal now
        now += 4

    periodic = PeriodicSnapshots(replica, tmp_path, 10, Event(), lambda: now)
    replica.positions = {("sessions", 0): 1}
    monkeypatch.setattr(snapshot, "write", write)
    now = 22.0
    periodic()
    assert gauge("_write_seconds") == 4


def test_snapshots_that_are_kept_aside_are_counted(replica):
    """Each is a copy of what could not be used, and wants a decision."""
    replica.kept_snapshots = {"kept-000001": "damaged", "kept-000007": "smaller limits"}
    log_watch._show_size(replica)
    assert gauge("s_kept") == 2
