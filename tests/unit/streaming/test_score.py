"""The live score: which click scores which answer, and what is counted of it."""

import copy
import itertools
import math
import random

import numpy as np
import pytest

from nextclick.limits import MAX_ID_BYTES, MAX_RANKINGS, SCORED_ITEMS, SESSION_STEPS
from nextclick.v1 import scoreboard_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.session_pb2 import SessionRecord
from online_models import metrics
from streaming.raw_record import RawRecord
from streaming.tasks import score as score_task
from streaming.tasks.rolling_score import BLOCK, CASE, RING, Answer, RollingScore
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions
from tests.unit.streaming.test_learners import Host

ITEMS = [f"i{n}" for n in range(40)]


def answer(session_id, version, items, appended=(), model="ranker", name="", **more):
    """A record of `impressions`."""
    impression = Impression(
        recommendation_id=name or f"{session_id}.{version}",
        session_id=session_id,
        session_version=version,
        appended_item_ids=appended,
        item_ids=items,
        scores=[-float(i) for i in range(len(items))],
        model=model,
        timestamp_ms=1_000 * version,
        known_items=len(ITEMS),
        **more,
    )
    key = session_id or "u:anna"
    return RawRecord(impression.SerializeToString(), key.encode(), "impressions", 0, 0, 5)


def clicks(session_id, items, follows=None, user_id=""):
    """The record of `sessions` after the last of these clicks."""
    session = SessionRecord(session_id=session_id, version=len(items), user_id=user_id)
    for seq, item in enumerate(items, 1):
        step = session.steps.add(item_id=item, seq=seq)
        step.recommendation_id = (follows or {}).get(seq, "")
    return RawRecord(session.SerializeToString(), session_id.encode(), "sessions", 0, 0, 9)


def task_of(*records):
    task = ScoreTask(TaskOptions())
    for record in records:
        task.apply(record)
    return task


def scores(task, now_ms=10_000):
    found = [pb.Score.FromString(o.value) for o in task.publish(now_ms)]
    return {score.model: score for score in found}


def ranks(task, model="ranker"):
    rolling = task._scores[model]
    return rolling._latest(RING)["rank"].tolist()


def life(incarnation, items, first_ms=None, session_id="s"):
    """The record of a life whose steps arrived a millisecond apart, the first at its beginning."""
    session = SessionRecord(session_id=session_id, version=len(items), incarnation=incarnation)
    for seq, item in enumerate(items, 1):
        session.appended_ms = (first_ms or incarnation) + seq - 1
        session.steps.add(item_id=item, seq=seq, appended_ms=session.appended_ms)
    return RawRecord(session.SerializeToString(), session_id.encode(), "sessions", 0, 0, 9)


def test_an_answer_is_scored_by_the_first_click_of_a_session_that_returned():
    """Versions begin again at 1: the first clicks would score nothing."""
    task = task_of(
        life(100, "abcdefgh"),
        answer("s", 8, ["x", "b"], session_incarnation=100),
        life(900, "b"),
        answer("s", 1, ["c"], session_incarnation=900),
        life(900, "bc"),
        life(100, "abcdefghc"),
    )
    assert ranks(task) == [2, 1]


def test_clicks_that_are_sessionised_again_score_nothing_again():
    """A job that had to start from nothing repeats the last week under new versions."""
    task = task_of(
        life(100, "abcdefgh"),
        answer("s", 8, ["x", "y", "i"], session_incarnation=100),
        *(life(103, "defgh"[:n]) for n in range(1, 6)),
        life(103, "defghi"),
        answer("s", 6, ["j"], session_incarnation=103),
        life(103, "defghij"),
    )
    assert ranks(task) == [3, 1]


def test_answers_are_scored_after_two_lives_became_one():
    """With a longer life of state, a job that starts from nothing joins what were two visits."""
    joined = [life(100, "ab"), life(100, "abcd"), life(100, "abcde"), life(100, "abcdef")]
    for n, record in enumerate(joined):
        session = SessionRecord.FromString(record.value)
        for step in session.steps[2:]:
            step.appended_ms += 800
        session.appended_ms = session.steps[-1].appended_ms
        joined[n] = record._replace(value=session.SerializeToString())
    task = task_of(
        life(902, "cd"),
        *joined[:3],
        answer("s", 5, ["x", "f"], session_incarnation=100),
        joined[3],
    )
    assert ranks(task) == [2]


def test_an_answer_of_a_server_of_the_version_before_belongs_to_the_present_life():
    """It names no incarnation; servers are upgraded after the jobs."""
    task = task_of(life(100, "ab"), answer("s", 2, ["x", "c"]), life(100, "abc"))
    assert ranks(task) == [2]


def test_an_answer_is_scored_by_the_click_after_its_version():
    """The session's version says what the visitor had done, whenever the records arrive."""
    task = task_of(
        clicks("s", ["a"]),
        answer("s", 1, ["x", "b", "y"]),
        clicks("s", ["a", "b"]),
        answer("s", 2, ["x", "y"]),
        clicks("s", ["a", "b", "c"]),
    )
    assert ranks(task) == [2, 0]


def test_an_answer_that_comes_after_its_click_is_scored_too():
    """Two topics keep no order between them."""
    records = [
        clicks("s", ["a"]),
        answer("s", 1, ["x", "b", "y"]),
        clicks("s", ["a", "b"]),
        clicks("s", ["a", "b", "c"]),
    ]
    for order in itertools.permutations(records):
        assert ranks(task_of(*order)) == [2], order


def test_appended_items_score_no_answer():
    """The caller had seen those clicks already; they reach the stream a moment later."""
    task = task_of(
        clicks("s", ["a"]),
        answer("s", 1, ["b", "c", "d"], appended=["b", "c"]),
        clicks("s", ["a", "b"]),
        clicks("s", ["a", "b", "c"]),
    )
    assert not task._scores["ranker"].cases
    task.apply(clicks("s", ["a", "b", "c", "d"]))
    assert ranks(task) == [3]


def test_appended_items_score_no_answer_in_whatever_order_they_arrive():
    """Two of a shop's servers report a visitor's clicks; one of them may be lost, or be slower."""
    asked = answer("s", 1, ["b", "c", "d"], appended=["b", "c"])
    for arrived in (["a", "c", "b", "d"], ["a", "c", "d"]):
        assert ranks(task_of(clicks("s", ["a"]), asked, clicks("s", arrived))) == [3]


def test_a_click_scores_the_last_answer_before_it_once():
    """A page that is loaded twice before a click is one case, not two."""
    task = task_of(
        clicks("s", ["a"]),
        answer("s", 1, ["b"], name="r1"),
        answer("s", 1, ["x", "b"], name="r2"),
        clicks("s", ["a", "b"]),
    )
    assert ranks(task) == [2]
    task.apply(answer("s", 1, ["b"], name="r3"))
    assert ranks(task) == [2]


def test_a_visitor_known_by_name_only_is_followed_into_the_first_session():
    """The first answer to a signed-in visitor is for a session that has no id yet."""
    task = task_of(answer("", 0, ["a", "b"]), clicks("u:anna~1", ["b"], user_id="anna"))
    assert ranks(task) == [2]


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


def test_clicks_are_attributed_to_the_ranking_that_was_shown():
    """Click-through rate is clicks that name an answer, an answer shown."""
    task = task_of(
        clicks("s", ["a"]),
        answer("s", 1, ["b"], name="r1"),
        answer("s", 1, ["c"], name="r2"),
        clicks("s", ["a", "b"], {2: "r1"}),
        clicks("s", ["a", "b", "d"], {3: "nobody's"}),
    )
    score = scores(task)["ranker"]
    assert (score.impressions, score.attributed_clicks) == (2, 1)
    assert score.click_through_rate == pytest.approx(0.5, abs=0.01)


def test_windows_equal_a_count_by_hand():
    """Rolling figures are those of the last cases, at every cut-off, beyond the ring's end too."""
    rng = random.Random(3)
    rolling = RollingScore("ranker")
    cases = []
    for n in range(RING + 1_500):
        items = rng.sample(ITEMS, SCORED_ITEMS)
        target = rng.choice(ITEMS)
        rolling.count_impression(len(ITEMS))
        shadow = rng.random() < n / RING / 2
        answered = Answer(items, [1.0] * SCORED_ITEMS, n, shadow=shadow)
        rank = rolling.add_case(answered, target, n)
        assert rank == (items.index(target) + 1 if target in items else 0)
        cases.append((items, rank, shadow))
    score = rolling.current(0)
    assert [w.size for w in score.windows] == [1_000, 10_000]
    for window in score.windows:
        last = cases[-window.size :]
        assert window.cases == len(last)
        assert window.since_ms == len(cases) - len(last)
        counted = np.array([rank for _, rank, _ in last])
        for at in window.at:
            assert at.hit_rate == pytest.approx(metrics.hit_rate(counted, at.k))
            assert at.mrr == pytest.approx(metrics.mrr(counted, at.k))
            assert at.ndcg == pytest.approx(metrics.ndcg(counted, at.k))
        listed = {item for items, _, _ in last for item in items}
        assert window.coverage == pytest.approx(len(listed) / len(ITEMS))
        shown = sum(not shadow for _, _, shadow in last)
        assert window.shown == pytest.approx(shown / len(last))


def test_a_ranking_that_takes_over_is_shown_in_its_windows():
    """A share of all cases ever said for months that nobody was shown the ranking that answers."""
    rolling = RollingScore("ranker")
    for n in range(12_000):
        rolling.add_case(Answer(["a"], [1.0], n, shadow=n < 11_000), "a", n)
    assert [window.shown for window in rolling.current(0).windows] == pytest.approx([1.0, 0.1])


def test_cases_of_the_version_before_do_not_tell_whether_they_were_shown():
    """It stored the rank in the four bytes that now hold both: its state is read as it is."""
    before = RollingScore("ranker")
    for n in range(BLOCK):
        before.add_case(Answer(["a", "b"], [2.0, 1.0], n), "b", n)
    stored = {block: np.frombuffer(raw, CASE).copy() for block, raw in before.changes().items()}
    for cases in stored.values():
        cases["seen"] = 0
    blocks = [(block, cases.tobytes()) for block, cases in stored.items()]
    after = RollingScore.load(before.dump(), blocks)
    [window, _] = after.current(0).windows
    assert not window.HasField("shown")
    assert (window.cases, window.at[0].mrr) == (BLOCK, 0.5)
    after.add_case(Answer(["a"], [1.0], 0, shadow=True), "a", 0)
    assert after.current(0).windows[0].shown == 0.0
    assert np.dtype([("rank", "<u2"), ("seen", "<u2")]).itemsize == np.dtype("<u4").itemsize


def test_a_change_of_the_hit_rate_is_noticed_with_its_beginning():
    """An alert without a time sends people to search through a day's releases."""
    rng = random.Random(5)
    rolling = RollingScore("ranker")
    for n in range(4_000):
        hit = rng.random() < (0.7 if n < 3_000 else 0.3)
        rolling.add_case(Answer(["a"], [1.0], n), "a" if hit else "b", n)
    (drift,) = rolling.counts.score.drifts
    assert 2_700 <= drift.began_ms <= 3_300
    assert 3_000 <= drift.noticed_ms < 3_600
    assert drift.hit_rate_before == pytest.approx(0.7, abs=0.05)
    assert drift.hit_rate_after < drift.hit_rate_before - 0.1


def test_no_change_gives_no_alert():
    """An alert that cries every day is switched off."""
    rng = random.Random(7)
    rolling = RollingScore("ranker")
    for n in range(8_000):
        rolling.add_case(Answer(["a"], [1.0], n), "a" if rng.random() < 0.5 else "b", n)
    assert not rolling.counts.score.drifts


def test_scores_become_probabilities():
    """What is predicted is what happens: on average, and for likely and unlikely items apart."""
    rng = np.random.default_rng(9)
    rolling = RollingScore("ranker")
    truth = lambda odds: 1 / (1 + np.exp(-(0.6 * odds - 0.5)))  # noqa: E731
    for n in range(9_000):
        values = np.sort(rng.normal(size=10) * 2)[::-1]
        p = truth(metrics.log_odds(values))
        hit = rng.random() < p.sum()
        chosen = rng.choice(10, p=p / p.sum())
        names = ITEMS[:10]
        rolling.add_case(Answer(names, values, n), names[chosen] if hit else "none", n)
    check = rolling.counts.score.calibration
    assert check.predicted == pytest.approx(check.observed, abs=0.02)
    for odds in (-3.0, 0.0):
        predicted = 1 / (1 + math.exp(-(check.slope * odds + check.intercept)))
        assert predicted == pytest.approx(float(truth(np.array(odds))), abs=0.08)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_an_answer_with_a_score_that_is_no_number_changes_no_figure(wrong):
    """One such record made the calibration no number for good."""
    records = [answer("s", 0, ["a", "b"]), clicks("s", ["b"])]
    faulty = Impression.FromString(answer("t", 0, ["a", "b"]).value)
    faulty.scores[1] = wrong
    record = answer("t", 0, ["a"])._replace(value=faulty.SerializeToString())
    assert scores(task_of(record, clicks("t", ["a"]), *records)) == scores(task_of(*records))


def test_a_calibration_that_is_no_number_begins_anew():
    """The states that the version before has spoilt are still there."""
    rolling = RollingScore("ranker")
    rolling.add_case(Answer(["a", "b"], [1.0, 0.0], 1), "a", 1)
    rolling.counts.score.calibration.slope = math.nan
    rolling.counts.score.calibration.predicted = math.nan
    loaded = RollingScore.load(rolling.dump(), rolling.changes().items())
    loaded.add_case(Answer(["a", "b"], [1.0, 0.0], 2), "a", 2)
    check = loaded.counts.score.calibration
    assert 0.9 < check.slope < 1.1
    assert 0 < check.predicted < 1


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
    checkpoint, at = (copy.deepcopy(host.states), 0), 0
    crashes = 0
    while at < len(records):
        host.feed(records[at])
        at += 1
        if rng.random() < 0.05:
            checkpoint = (copy.deepcopy(host.states), at)
        elif rng.random() < 0.02 and crashes < 12:
            crashes += 1
            host.states, at = copy.deepcopy(checkpoint[0]), checkpoint[1]
            host.start()
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
    assert len(task._sessions["loud"].answers) == 4
    assert len(task._scores) == MAX_RANKINGS


def test_unreadable_records_and_erased_sessions_are_passed_over():
    """A job never dies of its input; who is erased leaves no answer behind."""
    task = task_of(answer("s", 0, ["a"]), clicks("s", ["b"]))
    task.apply(RawRecord(b"\xff\xff", b"s", "impressions", 0, 0, 0))
    task.apply(RawRecord(b"\xff\xff", b"s", "sessions", 0, 0, 0))
    task.apply(RawRecord(b"", b"s", "sessions", 0, 0, 0))
    assert "s" not in task._sessions
    assert ranks(task) == [0]


def test_records_beyond_a_limit_leave_nothing_behind():
    """The state of one session grew to megabytes from ids without a limit."""
    task = task_of()
    long = "x" * (MAX_ID_BYTES + 1)
    task.apply(answer("s", 0, ["a"], appended=[long]))
    task.apply(answer("s", 0, ["a"], appended=["a"] * (SESSION_STEPS + 1)))
    task.apply(answer("s", 0, [long]))
    task.apply(clicks("s", [long]))
    task.apply(clicks("s", ["a"] * (SESSION_STEPS + 1)))
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
