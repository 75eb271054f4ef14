"""The task of the live score: a score for each ranking, whatever dies or comes."""

import math
import random
from pathlib import Path

import pytest

from nextclick.limits import MAX_ID_BYTES, MAX_RANKINGS, SCORED_ITEMS, SESSION_STEPS
from nextclick.v1.impression_pb2 import Impression, ShadowAnswer
from nextclick.v1.scoreboard_pb2 import AnswerName, AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord, Step
from streaming.raw_record import RawRecord
from streaming.tasks import score as score_task
from streaming.tasks.attribution import MAX_WAITING
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.scored_records import ITEMS, answer, apply, clicks, ranks, scores, task_of


def test_shadows_are_scored_beside_and_not_shown():
    """A ranking can be compared on live traffic before anybody sees it."""
    record = answer("s", 0, ["a", "b"], diversity=0.5, popularity=2.0)
    impression = Impression.FromString(record.value)
    impression.shadows.add(model="blend", item_ids=["b", "a"], scores=[2.0, 1.0])
    record = record._replace(value=impression.SerializeToString())
    task = task_of(record, clicks("s", ["b"]))
    assert ranks(task, "ranker") == [2]
    assert ranks(task, "blend") == [1]
    found = scores(task)
    assert found["ranker"].impressions == 1
    assert found["blend"].impressions == 0
    assert found["blend"].shadow_cases == 1
    assert found["ranker"].windows[0].diversity == 0.5
    assert found["ranker"].windows[0].popularity == 2.0


def test_answers_that_a_policy_has_re_ordered_have_a_score_of_their_own():
    """Mixed into the ranking's, exploration would look as if the ranking had become worse."""
    task = task_of(
        answer("s", 0, ["a", "b"]),
        answer("t", 0, ["b", "a"], policy="explore", name="r", propensities=[0.5, 0.5]),
        clicks("s", ["a"]),
        clicks("t", ["a"], {1: "r"}),
    )
    assert (ranks(task, "ranker"), ranks(task, "ranker+explore")) == ([1], [2])
    found = scores(task)
    assert [found[name].impressions for name in ("ranker", "ranker+explore")] == [1, 1]
    assert [found[name].attributed_clicks for name in ("ranker", "ranker+explore")] == [0, 1]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_an_answer_with_a_score_that_is_no_number_changes_no_figure(wrong):
    """One such record made the calibration no number for good."""
    records = [answer("s", 0, ["a", "b"]), clicks("s", ["b"])]
    faulty = Impression.FromString(answer("t", 0, ["a", "b"]).value)
    faulty.scores[1] = wrong
    record = answer("t", 0, ["a"])._replace(value=faulty.SerializeToString())
    assert scores(task_of(record, clicks("t", ["a"]), *records)) == scores(task_of(*records))


def random_records(n):
    rng = random.Random(11)
    sessions, records = {}, []
    for _ in range(n):
        name = f"s{rng.randrange(30)}"
        done = sessions.setdefault(name, [])
        if rng.random() < 0.5:
            model = rng.choice(["ranker", "blend"])
            records.append(answer(name, len(done), rng.sample(ITEMS, SCORED_ITEMS), model=model))
        else:
            done.append(rng.choice(ITEMS))
            records.append(clicks(name, done[-50:]))
    return records


def test_a_crash_anywhere_changes_no_figure():
    """What a checkpoint holds goes on as if nothing had happened."""
    records = random_records(1_200)
    expected = task_of(*records)
    rng = random.Random(13)
    host = Host(lambda: ScoreTask(TaskOptions()))
    checkpoint, at = (host.checkpoint(), 0), 0
    crashes = 0
    while at < len(records):
        host.feed(records[at])
        at += 1
        if rng.random() < 0.05:
            checkpoint = (host.checkpoint(), at)
        elif rng.random() < 0.02 and crashes < 12:
            crashes += 1
            host.restore(checkpoint[0])
            at = checkpoint[1]
    assert crashes == 12
    host.publish()
    task = host.operator._task
    for model, rolling in expected._scores.items():
        found = task._scores[model]
        assert found.current(0).windows == rolling.current(0).windows
        assert found.counts.score.impressions == rolling.counts.score.impressions
        assert found.counts.score.calibration.slope == pytest.approx(
            rolling.counts.score.calibration.slope, rel=1e-4
        )


def test_what_is_kept_of_sessions_and_rankings_is_bounded(monkeypatch):
    """Millions of visitors pass; those idle longest make room, in the stored state too."""
    monkeypatch.setattr(score_task, "MAX_SESSIONS", 100)
    task = ScoreTask(TaskOptions())
    stored = {}
    for n in range(1_000):
        task.apply(answer(f"s{n}", 0, ["a"], model=f"m{n % 40}"))
        task.apply(answer("loud", 0, ["a"]))
        _, rows = task.changes()
        for name, row in rows.items():
            stored.pop(name, None)
            if row:
                stored[name] = row
    assert len(task._sessions) == 100
    assert sum(name.startswith(score_task.SESSION) for name in stored) == 100
    assert len(AwaitedAnswers.FromString(task._sessions["loud"]).waiting) == MAX_WAITING
    assert len(task._scores) == MAX_RANKINGS


def long_ids(n):
    return [f"{number:0{MAX_ID_BYTES}}" for number in range(n)]


def test_what_is_kept_of_a_session_does_not_grow_with_its_ids():
    """Four answers of a session with long ids were 72 kB: 50,000 such sessions, 3.6 GB."""
    items = long_ids(70)
    task = task_of(clicks("s", items[:20], dict.fromkeys(range(1, 21), items[0])))
    for name in items[:4]:
        task.apply(answer("s", 20, items[:20], appended=items[20:], name=name))
    _, rows = task.changes()
    assert len(rows["s:s"]) < 2_000
    again = ScoreTask(TaskOptions())
    again.load(b"", rows.items())
    again.apply(clicks("s", [*items[:20], items[5]], {21: items[3]}))
    assert ranks(again) == [6]
    assert again._scores["ranker"].counts.score.attributed_clicks == 1


def test_the_bytes_that_are_kept_of_all_sessions_are_bounded(monkeypatch):
    """Names of rankings are as long as ids, and a shadow has 16: 20 kB a session."""
    most = 100_000
    monkeypatch.setattr(score_task, "MAX_BYTES", most)
    shadows = [ShadowAnswer(model=name, item_ids=["a"]) for name in long_ids(MAX_RANKINGS)]
    task, stored = ScoreTask(TaskOptions()), {}
    for n in range(100):
        for _ in range(4):
            task.apply(answer(f"s{n}", 0, ["a"], shadows=shadows))
        _, rows = task.changes()
        stored = {name: row for name, row in (stored | rows).items() if row}
        kept = {name: row for name, row in stored.items() if name.startswith(score_task.SESSION)}
        assert sum(len(name) - 2 + len(row) for name, row in kept.items()) == task._bytes <= most
    assert list(task._sessions) == [f"s{n}" for n in range(100 - len(kept), 100)]
    assert len(kept) > 1


def test_the_docs_tell_how_much_is_kept_of_sessions():
    """An operator sizes the TaskManagers' heap by it."""
    told = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    most = f"| {score_task.MAX_SESSIONS:,}, and {score_task.MAX_BYTES >> 20} MiB with their ids"
    assert told.count(most) == 1


def test_answers_and_steps_that_the_version_before_has_kept_are_scored():
    """It stored them whole; after an upgrade they wait on, in the present form."""
    waiting = [
        Impression.FromString(answer("s", version, ["x", item], name=f"r{version}", **more).value)
        for version, item, more in (
            (1, "b", {}),
            (2, "c", {"shadows": [ShadowAnswer(model="blend", item_ids=["c"])]}),
        )
    ]
    kept = AwaitedAnswers(
        version=2,
        scored_seq=1,
        steps=[Step(item_id="a", seq=1), Step(item_id="b", seq=2)],
        answers=waiting,
        shown=[AnswerName(recommendation_id="r2", model="ranker")],
    )
    task = ScoreTask(TaskOptions())
    task.load(b"", [("s:s", kept.SerializeToString()), ("s:t", b"")])
    _, rows = task.changes()
    assert set(rows) == {"s:s"}
    assert not AwaitedAnswers.FromString(rows["s:s"]).answers
    again = ScoreTask(TaskOptions())
    again.load(b"", rows.items())
    again.apply(clicks("s", ["a", "b", "c"], {3: "r2"}))
    assert (ranks(again), ranks(again, "blend")) == ([2, 2], [1])
    assert again._scores["ranker"].counts.score.attributed_clicks == 1


def test_unreadable_records_and_erased_sessions_are_passed_over():
    """A job never dies of its input; who is erased leaves no answer behind."""
    task = task_of(answer("s", 0, ["a"]), clicks("s", ["b"]))
    apply(task, RawRecord(b"\xff\xff", b"s", "impressions", 0, 0, 0))
    apply(task, RawRecord(b"\xff\xff", b"s", "sessions", 0, 0, 0))
    apply(task, RawRecord(b"", b"s", "sessions", 0, 0, 0))
    assert "s" not in task._sessions
    assert ranks(task) == [0]


def test_records_beyond_a_limit_leave_nothing_behind():
    """The state of one session grew to megabytes from ids without a limit."""
    task = task_of()
    long = "x" * (MAX_ID_BYTES + 1)
    apply(task, answer("s", 0, ["a"], appended=[long]))
    apply(task, answer("s", 0, ["a"], appended=["a"] * (SESSION_STEPS + 1)))
    apply(task, answer("s", 0, [long]))
    apply(task, clicks("s", [long]))
    apply(task, clicks("s", ["a"] * (SESSION_STEPS + 1)))
    ahead = SessionRecord(session_id="s", version=1, appended_ms=1 << 42)
    apply(task, RawRecord(ahead.SerializeToString(), b"s", "sessions", 0, 0, 9))
    assert not task._sessions
    assert not task._scores


def test_the_scoreboard_is_published_once_a_second_and_when_something_happened():
    """A score a click would be a second stream of clicks."""
    task = task_of(answer("s", 0, ["a"]), clicks("s", ["a"]))
    assert list(scores(task, 10_000)) == ["ranker"]
    task.apply(clicks("s", ["a", "b"]))
    assert not scores(task, 10_500)
    task.apply(answer("s", 2, ["a"]))
    assert not scores(task, 10_900)
    assert list(scores(task, 11_000)) == ["ranker"]
    assert not scores(task, 12_000)


def test_a_clock_that_steps_back_does_not_stop_the_scores():
    """Nothing was published until the clock had made up for it."""
    task = task_of(answer("s", 1, ITEMS[:5]), clicks("s", ITEMS[:2]))
    assert scores(task, 3_600_000)
    task.apply(answer("t", 1, ITEMS[:5]))
    assert scores(task, 3_600_500) == {}, "at most once a second"
    assert scores(task, 1_000)
