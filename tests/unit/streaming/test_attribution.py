"""Which click scores which answer."""

import itertools

import pytest

from nextclick.v1.session_pb2 import SessionRecord
from streaming.tasks.attribution import MAX_STEPS
from tests.unit.streaming.scored_records import (
    ITEMS,
    answer,
    clicks,
    life,
    ranks,
    scores,
    task_of,
)


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


@pytest.mark.parametrize("first", ["answers", "clicks"])
def test_a_topic_that_is_read_ahead_of_the_other_loses_no_case(first):
    """After some seconds away, a job reads up to 500 records of a topic before the other one."""
    n = MAX_STEPS
    topics = {
        "answers": [answer("s", seen, ["x", f"i{seen}"]) for seen in range(1, n + 1)],
        "clicks": [clicks("s", ITEMS[: seen + 1]) for seen in range(1, n + 1)],
    }
    begun = clicks("s", ITEMS[:1])
    assert ranks(task_of(begun, *topics.pop(first), *topics.popitem()[1])) == [2] * n


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
