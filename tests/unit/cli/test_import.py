"""``nextclick import``: every click reaches the broker, whenever the command is ended."""

import doctest
import json

import pytest
from typer.testing import CliRunner

from cli import import_history
from cli.live import history
from cli.live.history import ACKNOWLEDGED_EVERY, send_history
from cli.live.import_record import ImportRecord
from cli.main import app
from cli.stack.layout import Home
from evaluation.click_files.columns import Columns
from evaluation.datasets import Session
from settings.kafka import KafkaSettings
from streaming.raw_record import RawRecord
from streaming.sessionize import KeyState, Update, process

ARRIVED_MS = 1_700_000_000_000
SESSIONS = [Session(f"s{s}", ("a", "b", "c"), (s, s + 1, s + 2)) for s in range(1, 4_001)]
CLICKS = 3 * len(SESSIONS)


class Broker:
    """Takes what is produced; ends the process that sends after ``lives_for`` events.

    The sessions job processes what it has taken: ``states`` are those of its keys, which the broker
    of the next process goes on with.
    """

    def __init__(self, lives_for, states=None):
        self.lives_for = lives_for
        self.event_ids, self.states = [], {} if states is None else states
        self.purged = False

    def __call__(self, _):
        return self

    def produce(self, topic, raw, key, **_options):
        if len(self.event_ids) == self.lives_for:
            raise KeyboardInterrupt
        self.event_ids.append(json.loads(raw)["event_id"])
        record = RawRecord(raw, key.encode(), topic, 0, 0, ARRIVED_MS, replayed=True)
        self.states[key], outcome = process(self.states.get(key), record)
        assert isinstance(outcome, Update)

    def poll(self, _):
        return 0

    def flush(self, _):
        return 0

    def purge(self):
        self.purged = True


def record_of(tmp_path, text="clicks", **columns):
    file = tmp_path / "file"
    file.write_text(text)
    return ImportRecord.of(Home(tmp_path / "home"), [file], Columns(**columns), "")


def run(monkeypatch, tmp_path, lives_for=-1, sessions=SESSIONS, states=None):
    """Import in a fresh process, as it were; returns the ids that the broker has got."""
    broker = Broker(lives_for, states)
    monkeypatch.setattr(history, "Producer", broker)
    record = record_of(tmp_path)
    before = record.acknowledged
    try:
        send_history(KafkaSettings(), sessions, first=before, acknowledged=record.write)
    except KeyboardInterrupt:
        assert lives_for >= 0
        assert broker.purged, "librdkafka would complain of what it still holds"
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


LONG = 600
BEGAN_MS = 1_600_000_000_000
ONE_LONG = Session("long", ("a",) * LONG, tuple(BEGAN_MS + 1_000 * n for n in range(LONG)))
SHORT = [Session(f"s{n}", ("a",), (BEGAN_MS + 1_500 * n,)) for n in range(LONG // 2)]


@pytest.mark.parametrize(
    "sessions",
    [[ONE_LONG], [ONE_LONG, *SHORT]],
    ids=["alone", "among others"],
)
@pytest.mark.parametrize("lives_for", [[255], [257], [599], [300, 2, 300]])
def test_each_click_of_an_import_that_was_ended_is_applied_once(
    monkeypatch, tmp_path, lives_for, sessions
):
    """Of a session of 600 clicks the job knows the last 256: sent twice, all were applied again."""
    states = {}
    sent = [len(run(monkeypatch, tmp_path, life, sessions, states)) for life in [*lives_for, -1]]
    clicks = sum(len(session.items) for session in sessions)
    assert sent[:-1] == lives_for
    held = [KeyState.from_bytes(state).session for state in states.values()]
    assert sum(session.applied for session in held) == clicks
    assert sum(session.duplicates for session in held) == sum(sent) - clicks
    assert {session.session_id: session.applied for session in held}["long"] == LONG


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
    assert send_history(KafkaSettings(), sessions) == 4
    assert len(set(broker.event_ids)) == 4
    first = list(broker.event_ids)
    send_history(KafkaSettings(), sessions)
    assert broker.event_ids == first * 2


def test_event_ids_are_what_they_were():
    """An import that another version has begun goes on: what is sent twice is dropped by them."""
    assert doctest.testmod(history).attempted > 0
    assert doctest.testmod(history).failed == 0


def test_a_history_goes_to_a_kafka_of_ones_own(monkeypatch, tmp_path):
    """In a cluster there is no stack of `nextclick up`; what one has, another one has not."""
    sent = []

    def send(kafka, sessions, *, tenant, first, acknowledged, **_):
        sent.append((kafka.kafka, tenant, first))
        acknowledged(3)
        return 3 - first

    monkeypatch.setattr(import_history, "send_history", send)
    file = tmp_path / "clicks.csv"
    file.write_text("session,item,time\na,x,1600000000\na,y,1600000001\nb,x,1600000002\n")
    words = ["import", str(file), "--home", str(tmp_path / "home"), "--json"]
    for more in (["a:9"], ["a:9"], ["b:9"], ["a:9", "--tenant", "shop"]):
        done = CliRunner().invoke(app, [*words, "--kafka", *more])
        assert done.exit_code == 0, done.output
    assert sent == [("a:9", "", 0), ("a:9", "", 3), ("b:9", "", 0), ("a:9", "shop", 0)]
