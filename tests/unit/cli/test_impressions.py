"""Logged answers joined with clicks: as the score job does, in bounded memory."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.impressions import joining
from cli.impressions.joining import (
    BROKEN,
    ERASED,
    MISFIT,
    NO_POLICY,
    NO_POOL,
    RECENT,
    JoinedAnswers,
    told,
)
from nextclick.v1.impression_pb2 import Impression
from tests.unit.streaming.scored_records import answer, apply, clicks, ranks, task_of

LATER_MS = 10**9
POOL = ["a", "b", "c", "d"]


def drawn(session_id, version, items, name="", **more):
    """The value of a record of an answer that a policy drew from a pool."""
    fields = {
        "policy": "drawn",
        "propensities": [0.5] * len(items),
        "pool_item_ids": POOL,
        "pool_scores": [4.0, 3.0, 2.0, 1.0],
        "inclusion_probability": 0.25,
    }
    return answer(session_id, version, items, name=name, **(fields | more)).value


def joined(answers, sessions, **options):
    """Answers are (key, value, time); sessions records, at the times 10, 20 and so on."""
    result = JoinedAnswers(**({"latest_ms": LATER_MS} | options))
    for record in answers:
        result.add_answer(*record)
    for number, record in enumerate(sessions, 1):
        result.add_session(record.key.decode(), record.value, 10 * number)
    return result


def test_a_click_on_a_shown_item_is_the_reward_of_its_place():
    """And of no other place, nor of another answer."""
    answers = [
        ("s", drawn("s", 1, ["c", "a"]), 15),
        ("s", drawn("s", 2, ["b", "a"]), 25),
        ("s", drawn("s", 3, ["d", "c"]), 35),
    ]
    pages = joined(answers, [clicks("s", "xa"[: n + 1]) for n in range(2)]).pages()
    assert pages.click.tolist() == [[0, 1], [0, 0], [0, 0]]
    pages = joined(answers, [clicks("s", "xazd"[: n + 1]) for n in range(4)]).pages()
    assert pages.click.tolist() == [[0, 1], [0, 0], [1, 0]]
    names = [[pages.names[i] for i in row] for row in pages.shown_item]
    assert names == [["c", "a"], ["b", "a"], ["d", "c"]]
    assert pages.shown.tolist() == [[2, 0], [1, 0], [3, 2]]
    assert pages.size.tolist() == [4, 4, 4]
    assert pages.score[:4].tolist() == [4, 3, 2, 1]
    assert pages.propensity.tolist() == [[0.5, 0.5]] * 3
    assert pages.inclusion.tolist() == [0.25] * 3
    assert pages.visitor.tolist() == [0, 0, 0]
    assert pages.time_s.tolist() == [1, 2, 3]


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_clicks_are_those_of_the_score_job(chance):
    """Both judge by the same cases: records in the order in which they arrived."""
    answers, records, items = [], [], ""
    for now in range(1, 30):
        if chance.random() < 0.5:
            shown = chance.sample(POOL, chance.randint(1, 4))
            behind = min(len(items), chance.choice([0, 0, 0, 1]))
            value = drawn("s", len(items) - behind, shown, name=f"r{now}")
            answers.append(("s", value, now))
            records.append((now, answer("s", 0, [])._replace(value=value)))
        else:
            items += chance.choice([*POOL, "z"])
            records.append((now, clicks("s", items)))
    task = task_of()
    for now, record in records:
        apply(task, record._replace(append_time_ms=now))
    found = JoinedAnswers(LATER_MS)
    for record in answers:
        found.add_answer(*record)
    for now, record in records:
        if record.topic == "sessions":
            found.add_session("s", record.value, now)
    pages = found.pages()
    by_job = ranks(task, "ranker+drawn") if answers else []
    by_join = [] if pages is None else [*np.nonzero(pages.click)[1] + 1]
    assert sorted(rank for rank in by_job if rank) == sorted(by_join)


def test_answers_that_are_not_judged_take_their_click_nevertheless():
    """Otherwise the click would be that of an answer before: which had not led to it."""
    answers = [
        ("s", drawn("s", 1, ["a"], name="r1"), 15),
        ("s", answer("s", 1, ["a"], name="r2").value, 16),
    ]
    found = joined(answers, [clicks("s", "x"), clicks("s", "xa")])
    assert found.pages().click.tolist() == [[0]]
    assert found.passed_over == {NO_POLICY: 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"propensities": []}, NO_POLICY),
        ({"pool_item_ids": []}, NO_POOL),
        ({"pool_item_ids": POOL[:3]}, MISFIT),
        ({"pool_item_ids": ["b", "c", "d", "e"]}, MISFIT),
        ({"pool_item_ids": ["a", "a", "c", "d"]}, MISFIT),
        ({"propensities": [0.5, 0.5]}, MISFIT),
        ({"propensities": [0.0]}, MISFIT),
        ({"propensities": [1.5]}, MISFIT),
        ({"inclusion_probability": 0.0}, MISFIT),
        ({"inclusion_probability": 1.5}, MISFIT),
        ({"pool_scores": [1.0, 2.0, 3.0, float("nan")]}, BROKEN),
    ],
)
def test_what_cannot_be_judged_is_counted_with_its_reason(change, reason):
    """A division by a propensity of 0, or a page of another pool, would be in every estimate."""
    found = joined([("s", drawn("s", 1, ["a"], **change), 15)], [clicks("s", "x")])
    assert found.passed_over == {reason: 1}
    assert found.pages() is None


def test_answers_whose_click_may_still_come_are_left_out():
    """They would count as without a click."""
    answers = [("s", drawn("s", 1, ["a"], name="r1"), 15), ("t", drawn("t", 1, ["a"]), 45)]
    found = joined(answers, [], latest_ms=20)
    assert len(found.pages()) == 1
    assert found.passed_over == {RECENT: 1}
    assert list(told(found.passed_over)) == ["1 answer: too recent: their click may still come"]


def test_an_erased_visitor_is_in_no_estimate():
    """Who has been erased is not to be found in what is computed next."""
    answers = [("s", drawn("s", 1, ["a"]), 15), ("t", drawn("t", 1, ["a"]), 16)]
    found = joined(answers, [clicks("s", "x"), clicks("s", "xa")._replace(value=None)])
    assert found.passed_over == {ERASED: 1}
    assert len(found.pages()) == 1


def test_a_visitor_without_a_session_yet_gets_one():
    """The first answer of a visit is given before its first click has made a session."""
    answers = [
        ("u:anna", drawn("", 0, ["a"], name="r1"), 5),
        ("s", drawn("s", 1, ["b"], name="r2"), 15),
    ]
    sessions = [clicks("s", "a", user_id="anna"), clicks("s", "ab", user_id="anna")]
    pages = joined(answers, sessions).pages()
    assert sorted(pages.names[i] for i in pages.shown_item[:, 0]) == ["a", "b"]
    assert pages.click.sum() == 2
    other = [clicks("s", "a", user_id="bert")]
    assert joined(answers[:1], other).pages().click.sum() == 0


def test_only_the_first_places_are_taken_and_shorter_pages_end_early():
    """A page of 500 has no weight that is worth anything."""
    answers = [
        ("s", drawn("s", 1, ["c", "a", "b"], name="r1"), 15),
        ("t", drawn("t", 1, ["d"], name="r2"), 15),
    ]
    found = joined(answers, [])
    pages = found.pages(places=2)
    assert pages.shown.tolist() == [[2, 0], [3, -1]]
    assert pages.propensity.tolist() == [[0.5, 0.5], [0.5, 1.0]]
    assert found.pages(places=20).places == 3


def test_memory_is_bounded_by_a_sample_of_the_visitors():
    """All answers of a visitor, or none: otherwise clicks would be those of other answers."""
    n, most = 400, 20_000
    found = JoinedAnswers(LATER_MS, most_bytes=most)
    for visitor in random.Random(1).sample(range(n), n):
        for version in (1, 2):
            value = drawn(f"s{visitor}", version, ["a"])
            found.add_answer(f"s{visitor}", value, version)
    pages = found.pages()
    assert found.share in (1 / 2, 1 / 4, 1 / 8, 1 / 16)
    kept = np.bincount(pages.visitor)
    assert (kept == 2).all()
    assert 0.5 * found.share * n < len(kept) < 1.6 * found.share * n
    held = sum(
        len(kept.record) + joining.OVERHEAD_BYTES
        for answers in found._answers.values()
        for kept in answers
    )
    assert most / 4 < held <= most


def test_records_that_are_none_are_passed_over():
    """They stay in their topic; the server has counted them."""
    found = joined([("s", b"\xff", 5), ("s", None, 6)], [])
    found.add_session("s", b"\xff", 7)
    assert found.passed_over == {BROKEN: 1}
    assert found.pages() is None


def test_what_is_kept_has_no_names_of_visitors_and_no_shadows():
    """Only what the pages are made of: it is millions of answers."""
    value = Impression.FromString(drawn("s", 1, ["a"]))
    value.shadows.add(model="blend", item_ids=["a"])
    found = joined([("s", value.SerializeToString(), 5)], [])
    [[kept]] = found._answers.values()
    record = Impression.FromString(kept.record)
    assert not record.shadows
    assert not record.session_id
