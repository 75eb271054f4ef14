"""Ranking of shown items: a case is scored before its click is learned."""

from pathlib import Path

import pytest

from evaluation.errors import UnreadableFileError
from evaluation.shown_items import ORDERS, Action, load_actions, score_shown

SHOWN = ("1", "2", "3", "4")
HEADER = "session_id,timestamp,action_type,reference,impressions\n"


def test_the_sessions_own_item_comes_first() -> None:
    actions = [Action("s", 1, "3"), Action("s", 2, "3", SHOWN)]
    mrr = score_shown(actions).mrr
    assert mrr[ORDERS[0]] == pytest.approx(1 / 3)
    assert mrr[ORDERS[1]] == 1
    assert mrr[ORDERS[3]] == 1


def test_a_click_does_not_know_of_itself() -> None:
    score = score_shown([Action("s", 1, "4", SHOWN)])
    assert score.cases == 1
    assert score.unknown == 1
    assert set(score.mrr.values()) == {0.25}


def test_a_clickout_on_what_was_not_shown_is_no_case() -> None:
    assert score_shown([Action("s", 1, "9", SHOWN)]).cases == 0


def test_a_log_is_read_by_time_and_without_what_is_no_item(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(
        HEADER
        + "s,20,clickout item,3,1|2|3\n"
        + "s,10,interaction item image,2,\n"
        + "s,15,filter selection,Sauna,\n"
    )
    first, last = load_actions(file)
    assert (first.item_id, first.shown) == ("2", ())
    assert (last.item_id, last.shown) == ("3", ("1", "2", "3"))
    file.write_text(HEADER + "s,noon,clickout item,3,1|2|3\n")
    with pytest.raises(UnreadableFileError, match=r"log\.csv:2: timestamp"):
        load_actions(file)
