"""The export of features: a row a candidate, in bounded memory, and nothing newer than its click.

The traps set something that happens after a label, or with it, and that would change the label's
features if the code looked ahead. Each is proven: an export that does look ahead (`peeking`) fails.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from cli.errors import CommandError
from cli.export_features import export_features, milliseconds
from cli.exports import examples as export_examples
from cli.exports.examples import Read
from cli.exports.parquet import KEYS, schema, write
from evaluation.datasets import Session
from evaluation.point_in_time import Case, cases_of
from nextclick import Item, encode_item
from nextclick.v1 import learning_pb2
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.ranking.features.registry import N_FEATURES, NAMES, SCHEMA
from records import example as example_records
from records import item_vectors
from records.example import Example
from records.session_life import Applied
from server.replica.examples import ExampleEmitter
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

LIMITS = Limits(max_items=256, max_sessions=1_024, pairs=256)
BEGIN_MS = 1_764_000_000_000
LABEL_MS = BEGIN_MS + 10_000_000
ARRIVED_MS = 1_764_100_000_000


@pytest.fixture(autouse=True)
def learns_at_once(monkeypatch):
    monkeypatch.setattr("online_models.engine.engine.LEARN_FROM_CLICK", 0)


# ---- in process: clicks of files


def walks(first: int, n: int, begin_ms: int, jump: str = "") -> list[Session]:
    """Sessions of four clicks on 20 items, or three on one, one after another."""
    return [
        Session(
            f"s{i}",
            (jump,) * 3 if jump else tuple(f"i{(i + step) % 20}" for step in range(4)),
            tuple(begin_ms + 1_000 * (5 * i + step) for step in range(3 if jump else 4)),
        )
        for i in range(first, first + n)
    ]


PAST = walks(0, 100, BEGIN_MS)
LABEL = Session("label", ("i4", "i5"), (LABEL_MS - 1_000, LABEL_MS))
JUMP = walks(200, 50, LABEL_MS, jump="i6")
"""After the label, an item becomes the most popular one."""


def exported(sessions: list[Session], peeking: bool = False) -> Case:
    """The label's last case; peeking learns all of the clicks before it takes any case."""
    engine = Engine(LIMITS, sample=0)
    if peeking:
        for session in sessions:
            number = engine.open_session()
            for item in session.items:
                engine.learn(number, item)
    *_, case = (c for c in cases_of(engine, sessions) if c.session_id == "label")
    return case


def same(one: Case, other: Case) -> bool:
    """Whether two cases are the same, bit for bit."""
    return (
        one._replace(features=None) == other._replace(features=None)  # type: ignore[arg-type]
        and one.features.tobytes() == other.features.tobytes()
    )


def feature(case: Case, name: str, item: str) -> float:
    return float(case.features[NAMES.index(name), case.item_ids.index(item)])


def test_an_item_that_becomes_popular_after_the_label_was_not_so_before() -> None:
    """Trap: a model would learn that what was clicked later is what was clicked next."""
    cut = exported([*PAST, LABEL])
    assert same(exported([*PAST, LABEL, *JUMP]), cut)
    peeked = exported([*PAST, LABEL, *JUMP], peeking=True)
    assert feature(peeked, "log_clicks", "i6") > feature(cut, "log_clicks", "i6") + 1
    assert not same(peeked, cut)


def test_the_label_s_click_is_not_in_its_own_features() -> None:
    """Trap: the clicked item would be the one with a click more, in every case."""
    other = Session("label", ("i4", "i7"), LABEL.times_ms)
    one, two = exported([*PAST, LABEL]), exported([*PAST, other])
    assert one.item_ids == two.item_ids
    assert (one.item_ids[one.target], two.item_ids[two.target]) == ("i5", "i7")
    assert one.features.tobytes() == two.features.tobytes()
    peeked = exported([*PAST, LABEL], peeking=True), exported([*PAST, other], peeking=True)
    assert peeked[0].features.tobytes() != peeked[1].features.tobytes()


def test_the_rest_of_the_session_is_not_known_yet() -> None:
    """Trap: what the visitor clicked afterwards would be among its own items."""
    longer = Session("label", ("i4", "i5", "i9", "i9"), (*LABEL.times_ms, *(LABEL_MS + 9,) * 2))
    engine = Engine(LIMITS, sample=0)
    cases = [c for c in cases_of(engine, [*PAST, longer]) if c.session_id == "label"]
    assert [case.step for case in cases] == [2, 3, 4]
    assert same(cases[0], exported([*PAST, LABEL]))


def test_what_a_user_did_before_is_known_and_nothing_after() -> None:
    """Trap: of users who return, a later session would tell what the label's had clicked."""
    at_ms = LABEL_MS - 10_000_000
    earlier = Session("earlier", ("i5", "i9"), (at_ms, at_ms + 1), "ann")
    label = replace(LABEL, user_id="ann")
    later = Session("later", ("i4", "i7"), (LABEL_MS + 10**7, LABEL_MS + 10**7 + 1), "ann")
    case = exported([*PAST, earlier, label])
    assert feature(case, "past_seen", "i5") == 1
    assert feature(case, "past_seen", "i7") == 0
    assert same(exported([*PAST, earlier, label, later]), case)
    assert feature(exported([*PAST, earlier, LABEL]), "past_seen", "i5") == 0


def test_clicks_of_files_are_learned_by_their_clock_whatever_their_order() -> None:
    """Trap: a session that began before the label and ended after it is known up to the label."""
    beside = Session("beside", ("i6", "i6", "i6"), (LABEL_MS - 9, LABEL_MS + 1, LABEL_MS + 2))
    before = Session("beside", ("i6",), (LABEL_MS - 9,))
    assert same(exported([beside, *PAST, LABEL]), exported([*PAST, before, LABEL]))
    assert not same(exported([*PAST, LABEL]), exported([*PAST, before, LABEL]))


def test_since_leaves_out_cases_and_not_what_is_learned() -> None:
    """A last day without the days before it would be one of an empty shop."""
    engine = Engine(LIMITS, sample=0)
    cases = list(cases_of(engine, [*PAST, LABEL, *JUMP], since_ms=LABEL_MS))
    assert {case.session_id for case in cases} == {"label", *(s.session_id for s in JUMP)}
    [case] = [case for case in cases if case.session_id == "label"]
    assert same(case, exported([*PAST, LABEL]))


# ---- from the topic: what the emitter takes of the log


class Producer:
    """Keeps the examples of an emitter as the topic would."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def produce(self, topic: str, value: bytes, key: str) -> None:
        self.records.append(Record(value, key.encode()))

    def poll(self, _: float) -> None:
        pass

    def __len__(self) -> int:
        return 0


class Record:
    def __init__(self, value: bytes | None, key: bytes = b"s", at_ms: int = ARRIVED_MS) -> None:
        self._value, self._key, self._at_ms = value, key, at_ms

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at_ms


class Log:
    """A replica that emits an example of each click, and what it has emitted."""

    def __init__(self) -> None:
        self.replica = Replica(Engine(LIMITS, sample=0, remote=True), Role.EMITTER)
        self.emitter = ExampleEmitter(self.replica, ServerSettings(sample=1))
        self.producer: Any = Producer()
        self.emitter._producer = self.producer
        self.records: dict[str, SessionRecord] = {}
        self.now_ms = ARRIVED_MS - 1_000_000
        for i in range(12):
            self.item(f"i{i}", f"c{i % 3}")
        for i in range(40):
            for step in range(4):
                self.click(f"s{i}", f"i{(i + step) % 12}", BEGIN_MS + 60_000 * i + step)

    def item(self, item_id: str, category: str) -> None:
        item = Item(item_id, categories=(category,), title=f"thing {category}")
        self.replica.apply_item(item_id.encode(), encode_item(item))

    def click(self, session: str, item_id: str, time_ms: int) -> None:
        """The record of a session with one click more, sorted in by its time."""
        record = self.records.setdefault(session, SessionRecord(session_id=session, incarnation=1))
        record.version += 1
        self.now_ms += 1
        record.appended_ms = self.now_ms
        step = Step(
            item_id=item_id, seq=record.version, timestamp_ms=time_ms, appended_ms=self.now_ms
        )
        steps = [*record.steps, step]
        steps.sort(key=lambda s: s.timestamp_ms)
        del record.steps[:]
        record.steps.extend(steps)
        self.replica.apply_session(session.encode(), record.SerializeToString())

    def vectors(self, item_id: str, value: float, clicks_known: int) -> None:
        """Vectors that were learned from so many records of `sessions`."""
        vector = np.full(64, value, np.float32)
        vectors = item_vectors.ItemVectors(vector, vector, version=1, offsets=(clicks_known,))
        self.replica.apply_vectors(item_id.encode(), item_vectors.encode(vectors))
        self.replica.release_vectors("sessions")

    def case(self) -> Case:
        """The case of the last click of the session "label" as it is exported."""
        read = Read()
        [*_, case] = [c for c in read.cases(self.producer.records) if c.session_id == "label"]
        assert (read.refused, read.other_schema) == (0, 0)
        return case


def labelled(before: Any = None, after: Any = None) -> Case:
    """The label's case, with something that happens just before or just after it."""
    log = Log()
    log.click("label", "i4", LABEL_MS - 1_000)
    if before is not None:
        before(log)
    log.click("label", "i5", LABEL_MS)
    if after is not None:
        after(log)
    return log.case()


def new_category(log: Log) -> None:
    log.item("i4", "c9")
    log.item("i5", "c9")


def late_event(log: Log) -> None:
    """A click of the label's session, older than the label, that arrives after it."""
    log.click("label", "i9", LABEL_MS - 500)


def late_event_of_another(log: Log) -> None:
    for i in range(30):
        log.click(f"late{i}", "i9", LABEL_MS - 100_000)


def newer_vectors(log: Log) -> None:
    for item_id in ("i4", "i5"):
        log.vectors(item_id, 0.5, clicks_known=10**6)


def known_vectors(log: Log) -> None:
    log.replica.positions["sessions", 0] = 10**6
    newer_vectors(log)


@pytest.mark.parametrize(
    "future", [new_category, late_event, late_event_of_another], ids=lambda f: f.__name__
)
def test_what_arrives_after_the_label_is_not_in_its_features(future: Any) -> None:
    """Traps: a change of the catalogue, a late event of the session, late events of others.

    Each would change the features if it had arrived before: that proves that the trap is one.
    """
    cut = labelled()
    assert same(labelled(after=future), cut)
    assert not same(labelled(before=future), cut)


def test_vectors_that_know_the_label_are_held_back() -> None:
    """Trap: they arrive before it is applied here, learned from it by a job that is ahead."""
    cut = labelled()
    assert same(labelled(before=newer_vectors), cut)
    assert not same(labelled(before=known_vectors), cut)


def test_the_time_of_a_row_is_that_of_the_label_s_arrival() -> None:
    """By it, whoever trains splits the past from the future."""
    log = Log()
    log.click("label", "i4", LABEL_MS - 1_000)
    log.click("label", "i5", LABEL_MS)
    at_ms = log.now_ms
    log.click("later", "i5", LABEL_MS)
    assert log.case().time_ms == at_ms
    assert log.case().item_ids[log.case().target] == "i5"


# ---- the records that are read


def encoded(click: Applied, n: int = 3, target: int = 1, ids: tuple[str, ...] = ()) -> bytes:
    features = np.arange(N_FEATURES * n, dtype=np.float32).reshape(N_FEATURES, n) / 8
    return example_records.encode(Example("s", click, features, target, ids))


def test_records_that_cannot_be_used_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with fewer rows than the topic has records says why."""
    other = learning_pb2.Example.FromString(encoded(Applied(1, 9)))
    other.feature_schema = "00000000"
    records = [
        Record(encoded(Applied(1, 2), ids=("a", "b", "c"))),
        Record(encoded(Applied(1, 2), ids=("a", "b", "c"))),
        Record(encoded(Applied(1, 3))),
        Record(b"torn"),
        Record(None),
        Record(encoded(Applied(1, 4), ids=("a", "b"))),
        Record(other.SerializeToString()),
        Record(encoded(Applied(1, 5)), key=b"k" * 400),
    ]
    read = Read()
    cases = list(read.cases(records))
    assert [case.item_ids for case in cases] == [("a", "b", "c"), ()]
    assert cases[0].time_ms == ARRIVED_MS, "an old record has only its own time"
    assert (read.repeated, read.refused, read.other_schema) == (1, 4, 1)
    monkeypatch.setattr(export_examples, "REMEMBERED", 1)
    forgetful = Read()
    again = [Record(encoded(Applied(1, n))) for n in (2, 3, 2)]
    assert len(list(forgetful.cases(again))) == 3, "what is remembered is bounded"


# ---- the file


def made(n: int, step: int, target: int = 0, ids: bool = True) -> Case:
    features = np.full((N_FEATURES, n), step, np.float32) + np.arange(n, dtype=np.float32)
    names = tuple(f"i{i}" for i in range(n)) if ids else ()
    return Case("s", step, BEGIN_MS + step if ids else None, names, features, target)


def test_a_row_is_a_candidate_with_its_features_label_and_time(tmp_path: Any) -> None:
    """What is trained on must be what was asked for, column by column."""
    file = tmp_path / "cases.parquet"
    lost = made(0, 3, target=-1)
    written = write(file, [made(2, 1, target=1), lost, made(3, 2, ids=False)])
    assert written.as_json() == {"cases": 2, "rows": 5, "without_target": 1}
    table = parquet.read_table(file)
    assert table.column_names == [*(name for name, _ in KEYS), *NAMES]
    assert table["session_id"].to_pylist() == ["s"] * 5
    assert table["step"].to_pylist() == [1, 1, 2, 2, 2]
    assert table["label"].to_pylist() == [False, True, True, False, False]
    assert table["blend_place"].to_pylist() == [1, 2, 1, 2, 3]
    assert table["item_id"].to_pylist() == ["i0", "i1", None, None, None]
    assert table["time"].cast("int64").to_pylist() == [BEGIN_MS + 1] * 2 + [None] * 3
    assert table[NAMES[-1]].to_pylist() == [1, 2, 2, 3, 4]
    told = table.schema.metadata
    assert told[b"nextclick.feature_schema"].decode() == SCHEMA
    assert json.loads(told[b"nextclick.feature_versions"])["log_gap"] == 1
    assert table.schema.field("log_gap").metadata[b"unit"] == b"log seconds"
    assert list(tmp_path.iterdir()) == [file]


def test_groups_are_written_as_they_fill(tmp_path: Any) -> None:
    """A topic of days must not be in memory at once."""
    taken: list[int] = []
    file = tmp_path / "cases.parquet"

    def cases() -> Any:
        for step in range(20):
            taken.append(step)
            yield made(4, step)

    write(file, cases(), group_rows=10)
    groups = parquet.ParquetFile(file).metadata
    assert [groups.row_group(g).num_rows for g in range(groups.num_row_groups)] == [12] * 6 + [8]
    assert parquet.read_schema(file).equals(schema())


def test_an_export_that_fails_leaves_the_file_before(tmp_path: Any) -> None:
    """Half a file looks like a whole one to whoever trains on it."""
    file = tmp_path / "cases.parquet"
    file.write_bytes(b"before")

    def broken() -> Any:
        yield made(4, 1)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        write(file, broken(), group_rows=2)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


# ---- the command


def test_clicks_of_a_file_are_exported_without_kafka(tmp_path: Any, capsys: Any) -> None:
    """Whoever tries it has a file of clicks, and no stack yet."""
    clicks, file = tmp_path / "clicks.csv", tmp_path / "cases.parquet"
    rows = [
        f"{s.session_id},{item},{time_ms}"
        for s in [*PAST, LABEL]
        for item, time_ms in zip(s.items, s.times_ms or (), strict=True)
    ]
    clicks.write_text("session_id,item_id,timestamp_ms\n" + "\n".join(rows) + "\n")
    export_features(file, clicks=[clicks], json=True)
    told = json.loads(capsys.readouterr().out)
    table = parquet.read_table(file)
    assert told["rows"] == len(table) > 1_000
    label = table.filter([s == "label" for s in table["session_id"].to_pylist()])
    assert label["item_id"].filter(label["label"]).to_pylist() == ["i5"]
    with pytest.raises(CommandError, match="--items goes with --clicks"):
        export_features(file, items=clicks)


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("999999d", 0),
    ],
)
def test_a_time_is_understood(said: str, ms: int) -> None:
    """A wrong time zone would mix the training and the test day."""
    assert milliseconds(said) == ms


@pytest.mark.parametrize("said", ["yesterday", "7", "7w", "-1d", "2026-13-01"])
def test_what_is_no_time_is_refused(said: str) -> None:
    """A typing error must not export everything."""
    with pytest.raises(CommandError, match="is no time; write 2026-11-28"):
        milliseconds(said)
