"""``nextclick import``: every click reaches the broker, whenever the command is ended."""

import doctest
import json

import pytest

from cli.live import history
from cli.live.history import ACKNOWLEDGED_EVERY, send_history
from cli.live.import_record import ImportRecord
from cli.stack.layout import Home
from evaluation.click_files.columns import Columns
from evaluation.datasets import Session

SESSIONS = [Session(f"s{s}", ("a", "b", "c"), (s, s + 1, s + 2)) for s in range(1, 4_001)]
CLICKS = 3 * len(SESSIONS)


class Broker:
    """Takes what is produced; ends the process that sends after ``lives_for`` events."""

    def __init__(self, lives_for):
        self.lives_for = lives_for
        self.event_ids = []

    def __call__(self, _):
        return self

    def produce(self, _topic, raw, _key, **_options):
        if len(self.event_ids) == self.lives_for:
            raise KeyboardInterrupt
        self.event_ids.append(json.loads(raw)["event_id"])

    def poll(self, _):
        return 0

    def flush(self, _):
        return 0


def record_of(tmp_path, text="clicks", **columns):
    file = tmp_path / "file"
    file.write_text(text)
    return ImportRecord.of(Home(tmp_path / "home"), [file], Columns(**columns), "")


def run(monkeypatch, tmp_path, lives_for=-1):
    """Import in a fresh process, as it were; returns the ids that the broker has got."""
    broker = Broker(lives_for)
    monkeypatch.setattr(history, "Producer", broker)
    record = record_of(tmp_path)
    before = record.acknowledged
    try:
        send_history("kafka", SESSIONS, first=before, acknowledged=record.write)
    except KeyboardInterrupt:
        assert lives_for >= 0
    return broker.event_ids


@pytest.mark.parametrize("lives_for", [0, 4_999, 5_000, 7_001, CLICKS - 1])
def test_an_import_that_was_ended_goes_on_where_it_was(monkeypatch, tmp_path, lives_for):
    """No click is left out, and few are sent twice, which their ids tell."""
    first = run(monkeypatch, tmp_path, lives_for)
    second = run(monkeypatch, tmp_path)
    assert len(first) == lives_for
    repeated = len(first) + len(second) - CLICKS
    assert 0 <= repeated < ACKNOWLEDGED_EVERY
    assert len(set(first + second)) == CLICKS
    assert first[len(first) - repeated :] == second[:repeated]
    assert run(monkeypatch, tmp_path) == []


def test_other_files_or_columns_are_another_import(tmp_path):
    """A file that has grown, or was read otherwise before, must not be taken for imported."""
    record_of(tmp_path).write(7)
    assert record_of(tmp_path).acknowledged == 7
    assert record_of(tmp_path, item="sku").acknowledged == 0
    assert record_of(tmp_path, "more clicks").acknowledged == 0


def test_a_session_with_the_longest_id_is_sent(monkeypatch):
    """The ids of its events, with a number after it, were too long: a traceback."""
    broker = Broker(-1)
    monkeypatch.setattr(history, "Producer", broker)
    sessions = [Session(256 * letter, ("a", "b"), (1, 2)) for letter in "xy"]
    assert send_history("kafka", sessions) == 4
    assert len(set(broker.event_ids)) == 4
    first = list(broker.event_ids)
    send_history("kafka", sessions)
    assert broker.event_ids == first * 2


def test_event_ids_are_what_they_were():
    """An import that another version has begun goes on: what is sent twice is dropped by them."""
    assert doctest.testmod(history).attempted > 0
    assert doctest.testmod(history).failed == 0
